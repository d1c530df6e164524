/* mlflowc.h: the mlflowc command from inside. One table (mlflowc_commands.c) says what there is; parsing, help, completion and the man page come from it. */
#ifndef MLF_MLFLOWC_H
#define MLF_MLFLOWC_H

#include "buffer.h"
#include "client.h"
#include "object.h"

#include <stddef.h>
#include <stdio.h>

enum { MLC_MAX_OPTIONS = 256 };

typedef struct mlc mlc;

typedef enum mlc_flags {
    MLC_TAKES_REST = 1, /* wants "-- CMD…" */
    MLC_NO_CLIENT = 2,  /* has nothing to do with a server */
    MLC_WITHOUT_SERVER = 8, /* where no client can be made for the server that is named, one without a server is, and m->error says why */
    MLC_JOURNALS = 4    /* what the server does not take waits in the journal: no use trying for long */
} mlc_flags;

typedef struct mlc_command {
    const char *noun, *verb;  /* verb: NULL when the noun stands alone */
    const char *arguments;    /* "NAME [KEY=VALUE…]", for the help */
    int min_arguments, max_arguments; /* -1: any number */
    const char *options;      /* names of mlc_options, blank between */
    const char *summary;      /* one line */
    const char *examples;     /* one a line, without "mlflowc "; may be "" */
    int (*run)(mlc *m);       /* 0 or an mlf_code, which is in m->error */
    int flags;                /* mlc_flags */
} mlc_command;

typedef struct mlc_option {
    const char *name, *value; /* value: "EXPR", or NULL for a flag */
    const char *help;
} mlc_option;

/* One call of the command. */
struct mlc {
    const mlc_command *command;
    mlf_client *client;
    char **arguments;
    int n_arguments;
    struct {
        const char *name, *value;
    } options[MLC_MAX_OPTIONS];
    int n_options;
    char **rest; /* behind "--", ends in NULL */
    int n_rest;
    int json;    /* one object a line instead of tables */
    int exit_status; /* of a wrapped command, when not 0 */
    mlf_error error;
};

extern const mlc_command mlc_commands[];
extern const size_t mlc_n_commands;
extern const mlc_option mlc_options[];
extern const size_t mlc_n_options;

const char *mlc_option_value(const mlc *m, const char *name);              /* the last one given, or NULL */
size_t mlc_option_values(const mlc *m, const char *name, const char **values, size_t max); /* all of them, in order */
int mlc_has(const mlc *m, const char *name);

/* The option as a whole number, otherwise when absent. MLF_E_ARGUMENT when it is none or below least. */
int mlc_option_number(mlc *m, const char *name, long otherwise, long least, long *out);

/* A run that was begun without a server was printed by its journal's key: the text becomes the id it has on the server by now, and stays where there is none. */
void mlc_know_run(mlc *m, char *text);

/* ---- without a server ---- */

enum { MLC_RUN_SIZE = 257 };

/* The run of "runs:/RUN/path": the path, which may be empty; NULL where the URI is no run's. */
const char *mlc_run_of_uri(const char *uri, char run_id[MLC_RUN_SIZE]);

/* mlc_know_run() for the run in "runs:/RUN/path"; any other URI stays. */
void mlc_know_run_of(mlc *m, char *uri);

/* What a command does to a run. */
typedef struct mlc_deed {
    int (*send)(mlc *m, const char *run_id, void *what, mlf_error *error); /* on the server; NULL: what it is about waits itself */
    int (*keep)(mlc *m, mlf_run *run, void *what);                         /* in the run's journal */
    void *what;
} mlc_deed;

/* Does it on the server, or in the journal: offline, while the server does not answer, and where the run itself, or anything of it, waits in a journal here. A retry of what the server
   may have done already must do no harm. run_id (MLC_RUN_SIZE or a word of the command line) becomes the id that the server knows the run by. */
int mlc_send_or_keep(mlc *m, char *run_id, const mlc_deed *deed);

/* A client that asks no server and journals for the one that m's client has. */
int mlc_offline_client(mlf_client **out, mlc *m);

int mlc_waits_here(const mlc *m, const char *run_id);   /* 1: the run's journal is on this machine, not sent yet */
int mlc_is_away(const mlc *m);                        /* 1: offline, or no server is named */
void mlc_say_kept(const mlf_error *why);              /* on standard error */

/* The run whose journal here holds the model that is called "journal:/KEY" until it is sent: 1; 0 when there is none; or an mlf_code, in m->error. */
int mlc_run_of_waiting_model(mlc *m, const char *key, char run_id[MLC_RUN_SIZE]);

/* "KEY=VALUE" texts as pairs; the texts are cut at '=' in place. (MLF_E_ARGUMENT names one without.) */
int mlc_pairs(mlc *m, char **texts, size_t n, mlf_pair *pairs);
int mlc_option_pairs(mlc *m, const char *name, mlf_pair **pairs, size_t *n_pairs); /* *pairs: sv_free */

/* ---- output ---- */

/* Nobody reads standard output any more (`… | head`): the command ends as any other does then, by SIGPIPE and without a word. */
void mlc_end_unread(void);

/* A column: its title and where its cell stands. A path of mlf_object; "list@key" looks a key up in a list of {key, value}; '~' behind it: milliseconds
   since the epoch, shown as a date; '#' : bytes. */
typedef struct mlc_column {
    const char *title, *path;
} mlc_column;

typedef struct mlc_table mlc_table;

/* Rows as an aligned table, or one JSON object a line with --json. Freed and written out by mlc_table_end(). */
mlc_table *mlc_table_begin(const mlc *m, const mlc_column *columns, size_t n_columns);
int mlc_table_row(mlc_table *table, const mlf_object *item);
int mlc_table_end(mlc_table *table);

enum { MLC_USUAL_LIMIT = 100 };

/* All items of a search, at most --limit of them. Frees the iterator. code: of the call that made it. Without --limit the first 100 with a word about it, or
   all of what is no search. */
int mlc_print_search(mlc *m, int code, mlf_iterator *iterator, const mlc_column *columns, size_t n_columns);
int mlc_print_all(mlc *m, int code, mlf_iterator *iterator, const mlc_column *columns, size_t n_columns);

/* On standard error, when the iterator has something left and no --limit asked for less. */
void mlc_say_cut(const mlc *m, mlf_iterator *iterator);

/* One object: "path  value" lines, or JSON. Frees it. code: of the call that made it. */
int mlc_print_object(mlc *m, int code, mlf_object *object);

/* One fact: the bare text, or {"NAME": "text"} with --json. */
void mlc_print_fact(const mlc *m, const char *name, const char *text);

/* ---- texts made from the table ---- */

void mlc_help(FILE *out, const char *noun, const char *verb); /* noun NULL: all */
void mlc_man(FILE *out);
void mlc_man_endpoints(FILE *out);
void mlc_put_roff(FILE *out, const char *text); /* a dash is a dash, a leading dot no request */
int mlc_completion(FILE *out, const char *shell); /* -1: not that shell */

/* ---- commands ---- */

int mlc_doctor(mlc *m);
int mlc_experiments_list(mlc *m), mlc_experiments_get(mlc *m), mlc_experiments_create(mlc *m), mlc_experiments_rename(mlc *m), mlc_experiments_delete(mlc *m),
    mlc_experiments_restore(mlc *m), mlc_experiments_tag(mlc *m), mlc_experiments_untag(mlc *m);
int mlc_runs_list(mlc *m), mlc_runs_get(mlc *m), mlc_runs_create(mlc *m), mlc_runs_end(mlc *m), mlc_runs_rename(mlc *m), mlc_runs_delete(mlc *m),
    mlc_runs_restore(mlc *m), mlc_runs_tag(mlc *m), mlc_runs_untag(mlc *m), mlc_runs_input(mlc *m);
int mlc_metrics_log(mlc *m), mlc_metrics_history(mlc *m), mlc_params_log(mlc *m);
int mlc_artifacts_list(mlc *m), mlc_artifacts_download(mlc *m), mlc_artifacts_upload(mlc *m), mlc_artifacts_delete(mlc *m);
int mlc_models_list(mlc *m), mlc_models_get(mlc *m), mlc_models_log(mlc *m), mlc_models_delete(mlc *m), mlc_models_tag(mlc *m), mlc_models_untag(mlc *m);
int mlc_registry_list(mlc *m), mlc_registry_get(mlc *m), mlc_registry_versions(mlc *m), mlc_registry_register(mlc *m), mlc_registry_alias(mlc *m),
    mlc_registry_unalias(mlc *m), mlc_registry_resolve(mlc *m), mlc_registry_describe(mlc *m), mlc_registry_tag(mlc *m), mlc_registry_untag(mlc *m), mlc_registry_stage(mlc *m),
    mlc_registry_delete(mlc *m), mlc_registry_rename(mlc *m);
int mlc_request(mlc *m), mlc_call(mlc *m), mlc_endpoints(mlc *m);
int mlc_run(mlc *m);
int mlc_sync(mlc *m), mlc_journal_list(mlc *m), mlc_journal_show(mlc *m);
int mlc_print_completion(mlc *m), mlc_print_man(mlc *m);

#endif
