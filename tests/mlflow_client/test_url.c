#include "url.h"

#include <criterion/criterion.h>

static const struct {
    const char *a, *b;
    int same;
} origins[] = {
    {"http://h:80/x", "http://h", 1},
    {"https://h:443", "https://H/y?z", 1},
    {"http://h:80", "https://h:443", 0},
    {"http://h:80", "http://h:81", 0},
    {"http://h", "http://h.evil", 0},
    {"http://h", "http://h@evil/", 0},
    {"http://user:pw@h/", "http://h/", 1},
    {"http://evil@h@other", "http://h", 0},
    {"ftp://h", "ftp://h", 0},
    {"http://", "http://", 0},
    {"", "http://h", 0},
};

Test(url, the_same_origin_means_scheme_host_and_port)
{
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++) {
        cr_expect_eq(mlf_url_same_origin(origins[i].a, origins[i].b), origins[i].same, "%s %s", origins[i].a,
                     origins[i].b);
        cr_expect_eq(mlf_url_same_origin(origins[i].b, origins[i].a), origins[i].same, "%s %s", origins[i].b,
                     origins[i].a);
    }
}

Test(url, a_query_repeats_lists_and_leaves_out_null)
{
    json_t *arguments = json_pack("{s:s, s:[s,s], s:b, s:I, s:f, s:n}", "a b", "ü&=", "ids", "1", "2/3", "all", 0, "n",
                                  (json_int_t)-9007199254740993, "x", 0.1, "no");
    sv_buffer query = SV_BUFFER_INIT(0);
    cr_expect_eq(mlf_url_query(&query, arguments, NULL), MLF_OK);
    cr_expect_str_eq(query.data, "?a%20b=%C3%BC%26%3D&ids=1&ids=2%2F3&all=false&n=-9007199254740993&x=0.1");
    json_object_set_new(arguments, "deep", json_object());
    sv_buffer_clear(&query);
    cr_expect_eq(mlf_url_query(&query, arguments, NULL), MLF_E_ARGUMENT);
    sv_buffer_free(&query);
    json_decref(arguments);
}
