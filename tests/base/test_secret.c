#include "secret.h"

#include "alloc.h"

#include <criterion/criterion.h>

enum { WORDS = 6 };

static const struct { const char *words[WORDS]; const char *shown; } rows[] = {
    {{"./train", "--epochs", "3", "--tokenizer", "bert", "--max-tokens=512"}, "./train|--epochs|3|--tokenizer|bert|--max-tokens=512"},
    {{"./train", "--password", "hunter2", "--author", "me"}, "./train|--password|***|--author|me"},
    {{"./train", "--db-password=hunter2", "token=abc", "PASSWD:x"}, "./train|--db-password=***|token=***|PASSWD:***"},
    {{"env", "AWS_SECRET_ACCESS_KEY=a/b+c", "HF_TOKEN=hf_1", "KEY=plain", "./train"}, "env|AWS_SECRET_ACCESS_KEY=***|HF_TOKEN=***|KEY=plain|./train"},
    {{"t", "--api-key", "a b c", "--access_key", "q", "x"}, "t|--api-key|***|--access_key|***|x"},
    {{"t", "--token", "--verbose", "--token", "-dash"}, "t|--token|--verbose|--token|***"},
    {{"t", "postgresql://me:pw@db/x?sslkey=1", "https://host/a?sig=1"}, "t|postgresql://***@db/x?***|https://host/a?***"},
    {{"t", "--db=postgresql://me:pw@db/x"}, "t|--db=postgresql://***@db/x"},
    {{"curl", "-H", "Authorization: Bearer abc", "https://host"}, "curl|-H|Authorization: Bearer ***|https://host"},
    {{"curl", "-H", "X-Auth-Token: abc"}, "curl|-H|X-Auth-Token: ***"},
    {{"sh", "-c", "train --password hunter2 && PASSWORD='a' run"}, "sh|-c|train --password *** && PASSWORD='***' run"},
    {{"t", "--password"}, "t|--password"},
    {{"t", "--password", ""}, "t|--password|"},
};

Test(secret, a_command_line_as_anybody_may_see_it)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        sv_buffer out = SV_BUFFER_INIT(0);
        int hide = 0;
        for (int w = 0; w < WORDS && rows[i].words[w]; w++)
            cr_assert(!sv_buffer_text(&out, w ? "|" : "") && !sv_secret_append_word(&out, rows[i].words[w], &hide));
        cr_expect_str_eq(out.data, rows[i].shown);
        sv_buffer_free(&out);
    }
}

Test(secret, an_address_without_its_login)
{
    char *shown = sv_secret_hidden("https://me:pw@host/path?key=1");
    cr_expect_str_eq(shown, "https://***@host/path?***");
    sv_free(shown);
}
