/* check_command.c: `solvent check` and `solvent reference`. */
#include "commands.h"
#include "config.h"

#include <stdio.h>

int sv_run_check(const sv_arguments *arguments, sv_error *error)
{
    sv_config *config;
    sv_config_options options = {arguments->sets, arguments->n_sets};
    int code = sv_config_read(&config, arguments->config, &options, error);
    if (code)
        return code;
    if (!arguments->quiet)
        code = sv_config_print(config, stdout);
    sv_config_free(config);
    return code;
}

int sv_run_reference(const sv_arguments *arguments, sv_error *error)
{
    (void)arguments;
    (void)error;
    sv_config_reference(stdout);
    return 0;
}
