/* expr_token.c: see expr_token.h. */
#include "expr_token.h"

#include "number.h"

#include <string.h>

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int begins_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static int goes_on_name(char c)
{
    return begins_name(c) || is_digit(c) || c == '.';
}

static size_t skip_digits(const char *text, size_t length, size_t at)
{
    while (at < length && is_digit(text[at]))
        at++;
    return at;
}

static void wrong(sv_token *token, size_t length, const char *why, const char *hint)
{
    token->kind = SV_TOKEN_WRONG;
    token->length = length;
    token->why = why;
    token->hint = hint;
}

static void read_number(sv_token *token, const char *text, size_t length)
{
    size_t at = skip_digits(text, length, token->offset);
    if (at < length && text[at] == '.')
        at = skip_digits(text, length, at + 1);
    if (at < length && (text[at] == 'e' || text[at] == 'E')) {
        size_t sign = at + 1 < length && (text[at + 1] == '+' || text[at + 1] == '-');
        size_t end = skip_digits(text, length, at + 1 + sign);
        if (end > at + 1 + sign)
            at = end;
    }
    token->kind = SV_TOKEN_NUMBER;
    token->length = at - token->offset;
    if (at < length && goes_on_name(text[at]))
        wrong(token, token->length + 1, "a number runs into a letter", "a column whose name begins with a digit is written in backticks: `2nd_job`");
    else if (sv_parse_double(text + token->offset, token->length, &token->number) || token->number - token->number != 0)
        wrong(token, token->length, "a number that a double cannot hold", NULL);
}

/* From an opening quote to the same quote; with escapes in texts, without in backticks. */
static void read_quoted(sv_token *token, const char *text, size_t length, char quote)
{
    size_t at = token->offset + 1;
    while (at < length && text[at] != quote) {
        if (text[at] == '\n' || text[at] == '\0') {
            wrong(token, at - token->offset, "a quoted text holds a line end or a NUL", "write a line end as \\n");
            return;
        }
        at += text[at] == '\\' && quote != '`' && at + 1 < length ? 2 : 1;
    }
    token->kind = quote == '`' ? SV_TOKEN_QUOTED : SV_TOKEN_TEXT;
    token->length = at + 1 - token->offset;
    if (at >= length)
        wrong(token, length - token->offset, "a quote is not closed", NULL);
    else if (quote == '`' && token->length == 2)
        wrong(token, 2, "an empty name", NULL);
}

/* Signs that other languages have and this one writes otherwise. */
static void read_unknown(sv_token *token, const char *text, size_t length)
{
    static const struct {
        const char *sign, *hint;
    } others[] = {{"&&", "write `and`"}, {"||", "write `or`"}, {"**", "write pow(a, b)"}, {"^", "write pow(a, b)"}, {"!", "write `not`"},
                  {"=", "write == to compare"}, {"&", "write `and`"}, {"|", "write `or`"}, {"%", "write a - b * floor(a / b)"}, {"?", "write if(condition, a, b)"}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        size_t n = strlen(others[i].sign);
        if (length - token->offset >= n && !memcmp(text + token->offset, others[i].sign, n)) {
            wrong(token, n, "a sign that is not of the language", others[i].hint);
            return;
        }
    }
    wrong(token, 1, "a character that is not of the language", NULL);
}

static void read_sign(sv_token *token, const char *text, size_t length)
{
    static const char *const signs[] = {"<=", ">=", "==", "!=", "+", "-", "*", "/", "(", ")", "[", "]", ",", "<", ">"};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        size_t n = strlen(signs[i]);
        if (length - token->offset >= n && !memcmp(text + token->offset, signs[i], n)) {
            token->kind = SV_TOKEN_SIGN;
            token->length = n;
            if (signs[i][0] == '*' && token->offset + 1 < length && text[token->offset + 1] == '*')
                read_unknown(token, text, length);
            return;
        }
    }
    read_unknown(token, text, length);
}

void sv_token_next(sv_token *token, const char *text, size_t length, size_t at)
{
    while (at < length && (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r'))
        at++;
    *token = (sv_token){.kind = SV_TOKEN_END, .offset = at};
    if (at >= length)
        return;
    char c = text[at];
    if (begins_name(c)) {
        token->kind = SV_TOKEN_NAME;
        while (at < length && goes_on_name(text[at]))
            at++;
        token->length = at - token->offset;
    } else if (is_digit(c) || (c == '.' && at + 1 < length && is_digit(text[at + 1])))
        read_number(token, text, length);
    else if (c == '"' || c == '\'' || c == '`')
        read_quoted(token, text, length, c);
    else
        read_sign(token, text, length);
}

long sv_token_unescape(char *out, const char *text, const sv_token *token, size_t *bad)
{
    static const char from[] = "\"'\\nt", to[] = "\"'\\\n\t";
    long n = 0;
    for (size_t at = token->offset + 1, end = token->offset + token->length - 1; at < end; at++) {
        out[n] = text[at];
        if (text[at] == '\\') {
            const char *found = at + 1 < end ? memchr(from, text[at + 1], sizeof from - 1) : NULL;
            if (!found) {
                *bad = at;
                return -1;
            }
            out[n] = to[found - from];
            at++;
        }
        n++;
    }
    out[n] = '\0';
    return n;
}
