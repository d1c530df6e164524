/* commands.h: what each command runs; main.c's table gives them names, options and help. */
#ifndef SV_COMMANDS_H
#define SV_COMMANDS_H

#include "command.h"

int sv_run_train(const sv_arguments *arguments, sv_error *error);    /* train_command.c */
struct sv_training;
/* Below another run, or NULL; with the rows and features that it has read and hands over, or NULL. */
int sv_train(const sv_arguments *arguments, const char *parent_run_id, struct sv_training *read, sv_error *error);
int sv_run_sweep(const sv_arguments *arguments, sv_error *error);    /* sweep_command.c */
int sv_run_check(const sv_arguments *arguments, sv_error *error);    /* check_command.c */
int sv_run_reference(const sv_arguments *arguments, sv_error *error);
int sv_run_prepare(const sv_arguments *arguments, sv_error *error);  /* prepare_command.c */
int sv_run_evaluate(const sv_arguments *arguments, sv_error *error); /* evaluate_command.c */
int sv_run_predict(const sv_arguments *arguments, sv_error *error);  /* predict_command.c */
int sv_run_explain(const sv_arguments *arguments, sv_error *error);  /* explain_command.c */
int sv_run_generate(const sv_arguments *arguments, sv_error *error); /* generate_command.c */

#endif
