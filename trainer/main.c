/* main.c: the `solvent` command. Each command's own file says what it does; this one lists them. */
#include "commands.h"

static const sv_command commands[] = {
    {"generate", NULL, "the built-in cashflow world as CSV", SV_OPTION_ROWS | SV_OPTION_SEED | SV_OPTION_OUTPUT, SV_OPTION_OUTPUT, sv_run_generate},
};

int main(int argc, char **argv)
{
    return sv_command_main(commands, sizeof commands / sizeof *commands, argc, argv);
}
