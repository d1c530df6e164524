/* s3_listing.c: one page of a bucket's listing. Everything in it is untrusted; names are checked by who walks the tree. */
#include "alloc.h"
#include "client_error.h"
#include "number.h"
#include "s3.h"
#include "xml.h"

#include <string.h>

enum { MAX_TOKEN_BYTES = 4096 };

typedef enum within { IN_RESULT, IN_CONTENTS, IN_PREFIXES } within;

struct page {
    const char *prefix;
    int is_encoded; /* <EncodingType>url</EncodingType> */
    within in;
    char *key; /* of the entry being read */
    int64_t size_bytes;
    char *token;
    int is_truncated;
};

static int is(const char *text, size_t length, const char *name)
{
    return length == strlen(name) && !memcmp(text, name, length);
}

/* Replaces *field by the decoded text. */
static int keep(char **field, const char *text, size_t length, int is_encoded, mlf_error *error)
{
    sv_free(*field);
    *field = mlf_xml_decode(text, length);
    if (!*field || strlen(*field) > MAX_TOKEN_BYTES)
        return mlf_error_set(error, MLF_E_REPLY, "a listing of the bucket: a text that cannot be read");
    if (is_encoded) {
        for (char *p = *field; *p; p++)
            *p = (char)(*p == '+' ? ' ' : *p);
        if (mlf_uri_decode(*field))
            return mlf_error_set(error, MLF_E_REPLY, "a listing of the bucket: a broken %% escape");
    }
    return 0;
}

static int take_text(struct page *page, const char *element, size_t element_length, const char *text, size_t length, mlf_error *error)
{
    if ((page->in == IN_CONTENTS && is(element, element_length, "Key")) || (page->in == IN_PREFIXES && is(element, element_length, "Prefix")))
        return keep(&page->key, text, length, page->is_encoded, error);
    if (page->in == IN_CONTENTS && is(element, element_length, "Size") && sv_parse_int64(text, length, &page->size_bytes))
        return mlf_error_set(error, MLF_E_REPLY, "a listing of the bucket: a size that is no number");
    if (page->in == IN_RESULT && is(element, element_length, "NextContinuationToken"))
        return keep(&page->token, text, length, 0, error);
    if (page->in == IN_RESULT && is(element, element_length, "IsTruncated"))
        page->is_truncated = is(text, length, "true");
    return 0;
}

/* The entry that has just ended, by the rest of its key. */
static int tell(struct page *page, mlf_entry_fn *each, void *context, mlf_error *error)
{
    size_t length = strlen(page->prefix);
    int is_dir = page->in == IN_PREFIXES, code = 0;
    if (!page->key || strncmp(page->key, page->prefix, length))
        return mlf_error_set(error, MLF_E_REPLY, "a listing of the bucket: an entry outside of what was asked for");
    char *name = page->key + length;
    size_t end = strlen(name);
    if (is_dir && !strcmp(name, "/"))
        return mlf_error_set(error, MLF_E_REPLY, "a listing of the bucket: a folder without a name ('%.200s'), which no folder here can hold", page->key);
    if (is_dir && end && name[end - 1] == '/')
        name[end - 1] = '\0';
    const mlf_entry entry = {name, is_dir, is_dir ? -1 : page->size_bytes};
    if (end) /* an empty one is the folder's own marker */
        code = each(context, &entry, error);
    sv_free(page->key);
    page->key = NULL;
    page->size_bytes = -1;
    return code;
}

int mlf_s3_read_listing(const char *text, size_t length, const char *prefix, mlf_entry_fn *each, void *context, char **next, mlf_error *error)
{
    mlf_xml xml = {text, text + length};
    struct page page = {.prefix = prefix, .size_bytes = -1};
    char *encoding = mlf_xml_find(text, length, "EncodingType");
    const char *element = "", *found = "";
    size_t element_length = 0, size = 0;
    int code = 0, empty = 0, seen = 0;
    page.is_encoded = encoding && !strcmp(encoding, "url");
    sv_free(encoding);
    *next = NULL;
    for (mlf_xml_event event; !code && (event = mlf_xml_next(&xml, &found, &size, &empty)) != MLF_XML_END;) {
        if (event == MLF_XML_BROKEN || (!seen && event == MLF_XML_OPEN && !is(found, size, "ListBucketResult")))
            code = mlf_error_set(error, MLF_E_REPLY, "a listing of the bucket: expected a ListBucketResult in XML");
        else if (event == MLF_XML_TEXT && element_length)
            code = take_text(&page, element, element_length, found, size, error);
        else if (event == MLF_XML_OPEN) {
            seen = 1;
            element = found;
            element_length = empty ? 0 : size;
            if (page.in == IN_RESULT && !empty)
                page.in = is(found, size, "Contents") ? IN_CONTENTS : is(found, size, "CommonPrefixes") ? IN_PREFIXES : IN_RESULT;
        } else if (event == MLF_XML_CLOSE) {
            element_length = 0;
            if (page.in != IN_RESULT && is(found, size, page.in == IN_CONTENTS ? "Contents" : "CommonPrefixes")) {
                code = tell(&page, each, context, error);
                page.in = IN_RESULT;
            }
        }
    }
    if (!code && !seen)
        code = mlf_error_set(error, MLF_E_REPLY, "a listing of the bucket: expected a ListBucketResult in XML, got nothing");
    if (!code && page.is_truncated && !page.token)
        code = mlf_error_set(error, MLF_E_REPLY, "a listing of the bucket: more to come, but no token for it");
    if (!code && page.is_truncated) {
        *next = page.token;
        page.token = NULL;
    }
    sv_free(page.key);
    sv_free(page.token);
    return code;
}
