/* run_context.h: the tags that say where a run comes from (PROTOCOL 12): user, source, git, MLFLOW_RUN_CONTEXT. No process is started: git's files are read. */
#ifndef MLF_RUN_CONTEXT_H
#define MLF_RUN_CONTEXT_H

#include "client.h"

/* A new object {tag: value}; later ones win: what is found out, MLFLOW_RUN_CONTEXT, then the options' own. NULL when memory is out or a tag is bad (*error). */
json_t *mlf_run_context(const mlf_client *client, const mlf_run_options *options, mlf_error *error);

/* Adds mlflow.source.git.commit, .branch and .repoURL (without credentials) when folder lies in a git work tree. */
void mlf_git_tags(json_t *tags, const char *folder);

#endif
