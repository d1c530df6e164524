/* main.c: the `solvent` command. Each command's own file says what it does; this one lists them. */
#include "commands.h"

static const sv_command commands[] = {
    {"train", "CONFIG", "read, fit, judge, package, track and register a model",
     SV_OPTION_SET | SV_OPTION_OUTPUT | SV_OPTION_OFFLINE | SV_OPTION_NO_TRACKING | SV_OPTION_NO_REGISTER | SV_OPTION_THREADS | SV_OPTION_QUIET | SV_OPTION_JSON | SV_OPTION_RESUME,
     0, sv_run_train},
    {"check", "CONFIG", "validates everything that needs no data; prints the resolved configuration", SV_OPTION_SET | SV_OPTION_QUIET, 0, sv_run_check},
    {"prepare", "CONFIG", "the processed table: features, target, split; to a file or a store", SV_OPTION_SET | SV_OPTION_OUTPUT | SV_OPTION_QUIET, 0, sv_run_prepare},
    {"evaluate", "CONFIG", "a model on the configured data", SV_OPTION_SET | SV_OPTION_MODEL | SV_OPTION_THREADS | SV_OPTION_QUIET | SV_OPTION_JSON, SV_OPTION_MODEL,
     sv_run_evaluate},
    {"predict", NULL, "CSV in, CSV with the model's answers behind each row out",
     SV_OPTION_MODEL | SV_OPTION_INPUT | SV_OPTION_OUTPUT | SV_OPTION_THREADS, SV_OPTION_MODEL | SV_OPTION_INPUT, sv_run_predict},
    {"generate", NULL, "the built-in cashflow world as CSV", SV_OPTION_ROWS | SV_OPTION_SEED | SV_OPTION_OUTPUT, SV_OPTION_OUTPUT, sv_run_generate},
    {"explain", NULL, "the coefficients; with rows, what each feature adds to a row's score", SV_OPTION_MODEL | SV_OPTION_INPUT | SV_OPTION_JSON, SV_OPTION_MODEL, sv_run_explain},
    {"sweep", "CONFIG", "tries the settings of `sweep:` as nested runs and trains the best",
     SV_OPTION_SET | SV_OPTION_OUTPUT | SV_OPTION_OFFLINE | SV_OPTION_NO_TRACKING | SV_OPTION_NO_REGISTER | SV_OPTION_THREADS | SV_OPTION_QUIET | SV_OPTION_JSON, 0,
     sv_run_sweep},
    {"reference", NULL, "every configuration key, as configs/REFERENCE.md", 0, 0, sv_run_reference},
};

int main(int argc, char **argv)
{
    return sv_command_main(commands, sizeof commands / sizeof *commands, argc, argv);
}
