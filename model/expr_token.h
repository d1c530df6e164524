/* expr_token.h: the words of an expression. Private to model/. */
#ifndef SV_EXPR_TOKEN_H
#define SV_EXPR_TOKEN_H

#include <stddef.h>

typedef enum sv_token_kind {
    SV_TOKEN_END,
    SV_TOKEN_NUMBER,
    SV_TOKEN_NAME,   /* identifier, keywords among them */
    SV_TOKEN_QUOTED, /* `name`, without the backticks */
    SV_TOKEN_TEXT,   /* "text", quotes included; escapes not yet resolved */
    SV_TOKEN_SIGN,   /* + - * / ( ) [ ] , < <= > >= == != */
    SV_TOKEN_WRONG   /* nothing of the language; `why` says more */
} sv_token_kind;

typedef struct sv_token {
    sv_token_kind kind;
    size_t offset, length; /* bytes of the whole token in the text */
    double number;
    const char *why;  /* SV_TOKEN_WRONG */
    const char *hint; /* SV_TOKEN_WRONG, may be NULL */
} sv_token;

/* The token that begins at or behind `at`, blanks skipped. Reads text[0..length) alone. */
void sv_token_next(sv_token *token, const char *text, size_t length, size_t at);

/* Resolves the escapes (\" \' \\ \n \t) of a SV_TOKEN_TEXT into out (room for token->length bytes), NUL-terminated; the length, or -1: a wrong escape
   or a NUL byte, *bad is where. */
long sv_token_unescape(char *out, const char *text, const sv_token *token, size_t *bad);

#endif
