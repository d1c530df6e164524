/* command.h: the command line of `solvent`: one table of options, one of commands. Leaves out: what the commands do (train.c and so on). */
#ifndef SV_COMMAND_H
#define SV_COMMAND_H

#include "error.h"
#include "interrupt.h"

#include <stddef.h>
#include <stdint.h>

enum { SV_MAX_SETS = 64, SV_MAX_INPUTS = 64 };

/* What was given on the command line; NULL, 0 or -1 where it was not. Strings are argv's. */
typedef struct sv_arguments {
    const char *config; /* the one positional argument */
    const char *sets[SV_MAX_SETS];
    size_t n_sets;
    const char *output, *input, *model, *resume;
    int offline, no_tracking, no_register, quiet, json;
    int64_t threads, rows, seed, customers;
} sv_arguments;

/* Bits for the options a command takes. */
typedef enum sv_option_id {
    SV_OPTION_SET = 1 << 0,
    SV_OPTION_OUTPUT = 1 << 1,
    SV_OPTION_OFFLINE = 1 << 2,
    SV_OPTION_NO_TRACKING = 1 << 3,
    SV_OPTION_NO_REGISTER = 1 << 4,
    SV_OPTION_THREADS = 1 << 5,
    SV_OPTION_QUIET = 1 << 6,
    SV_OPTION_JSON = 1 << 7,
    SV_OPTION_MODEL = 1 << 8,
    SV_OPTION_INPUT = 1 << 9,
    SV_OPTION_ROWS = 1 << 10,
    SV_OPTION_SEED = 1 << 11,
    SV_OPTION_RESUME = 1 << 12
} sv_option_id;

typedef struct sv_command {
    const char *name;
    const char *positional; /* "CONFIG", or NULL when there is none */
    const char *summary;    /* one line */
    unsigned options;       /* sv_option_id, or-ed */
    unsigned required;      /* those of them that must be given */
    int (*run)(const sv_arguments *arguments, sv_error *error); /* 0 or an sv_code */
} sv_command;

/* Runs the command that argv names; the exit status (0, 1, 2, 130). Prints help, the version and errors. */
int sv_command_main(const sv_command *commands, size_t n_commands, int argc, char **argv);

#endif
