/* generate_command.c: `solvent generate`. */
#include "commands.h"
#include "generate.h"
#include "output.h"

static int write_piece(void *context, const char *bytes, size_t length, sv_error *error)
{
    return sv_interrupted() ? sv_error_set(error, SV_E_INTERRUPTED, "interrupted") : sv_output_write(context, bytes, length, error);
}

int sv_run_generate(const sv_arguments *arguments, sv_error *error)
{
    sv_output output;
    int code = sv_output_open(&output, arguments->output, error);
    if (code)
        return code;
    sv_interrupt_watch();
    code = sv_generate(arguments->rows < 0 ? 50000 : arguments->rows, arguments->seed < 0 ? 42 : (uint64_t)arguments->seed, write_piece, &output, error);
    if (!code)
        code = sv_output_commit(&output, error);
    else
        sv_output_discard(&output);
    return code;
}
