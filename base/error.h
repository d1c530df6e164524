/* error.h: one error, filled by whoever met it first. Leaves out: error stacks, exceptions. */
#ifndef SV_ERROR_H
#define SV_ERROR_H

/* What kind of thing went wrong; main() turns it into an exit status. */
typedef enum sv_code {
    SV_OK = 0,
    SV_E_MEMORY = -1,      /* an allocation failed */
    SV_E_IO = -2,          /* a file or folder could not be read or written */
    SV_E_INPUT = -3,       /* data, a package or a reply is not what it should be */
    SV_E_CONFIG = -4,      /* the command line or the configuration is wrong: exit 2 */
    SV_E_NETWORK = -5,     /* a server could not be reached or said no */
    SV_E_LIMIT = -6,       /* a stated bound was passed */
    SV_E_INTERRUPTED = -7, /* a signal asked for the end: exit 130 */
    SV_E_NUMERIC = -8      /* the arithmetic has no answer (not converged, not positive definite, NaN) */
} sv_code;

/* The caller's own, zeroed before use (SV_ERROR_INIT). Messages read "what: where: expected, got". */
typedef struct sv_error {
    int code;           /* 0 while nothing is wrong, else an sv_code */
    char message[1024]; /* NUL-terminated, cut when longer */
    char hint[384];     /* how to mend it; empty when there is nothing to say */
} sv_error;

#define SV_ERROR_INIT {0}

/* Fills *error unless it already holds an error (the first wins); error may be NULL. Returns code, so that callers write `return sv_error_set(...)`. */
int sv_error_set(sv_error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts text in front of the message: what only the outer layer knows (file:line, run id). Nothing when no error is there. */
void sv_error_prefix(sv_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says how to mend it; the first hint wins. */
void sv_error_hint(sv_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

void sv_error_clear(sv_error *error);

/* The exit status of a command that ended with this code: 0, 1, 2 or 130. */
int sv_error_exit_status(int code);

#endif
