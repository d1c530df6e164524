/* What a command does to a run: the server's now, or the journal's for a later `mlflowc sync`. Behind what waits of the run in a journal here, it waits, too. */
#include "mlflowc.h"

#include "alloc.h"
#include "client_error.h"
#include "folder.h"
#include "json_text.h"
#include "log.h"
#include "registry.h"
#include "replay.h"
#include "waiting.h"

#include <string.h>

void mlc_know_run(mlc *m, char *text)
{
    char run_id[MLF_RUN_ID_SIZE];
    if (mlf_replay_find(run_id, m->client, text, NULL) > 0 && strlen(run_id) == strlen(text)) strcpy(text, run_id);
}

const char *mlc_run_of_uri(const char *uri, char run_id[MLC_RUN_SIZE])
{
    if (strncmp(uri, "runs:/", 6)) return NULL;
    size_t length = strcspn(uri + 6, "/");
    if (!length || length >= MLC_RUN_SIZE) return NULL;
    snprintf(run_id, MLC_RUN_SIZE, "%.*s", (int)length, uri + 6);
    return uri + 6 + length + strspn(uri + 6 + length, "/");
}

void mlc_know_run_of(mlc *m, char *uri)
{
    char run_id[MLC_RUN_SIZE];
    if (!mlc_run_of_uri(uri, run_id)) return;
    mlc_know_run(m, run_id); /* as long as it was */
    memcpy(uri + strlen("runs:/"), run_id, strlen(run_id));
}

int mlc_is_away(const mlc *m)
{
    return m->client->settings.offline || !*m->client->settings.tracking_uri;
}

static json_t *parsed(const char *text)
{
    json_t *json = NULL;
    if (text) mlf_json_parse(&json, text, strlen(text), 0, NULL);
    return json;
}

/* Is there a journal at path? *first: its first record, by which its run is known; NULL when that cannot be read. */
static int read_first(json_t **first, const char *path)
{
    mlf_journal *journal = NULL;
    mlf_journal_record record;
    int is_there = !mlf_journal_open(&journal, path, NULL);
    *first = is_there && !mlf_journal_next(journal, &record, NULL) ? parsed(record.json) : NULL;
    mlf_journal_close(journal);
    return is_there;
}

/* The journal of a run that itself waits here: its experiment's name (sv_free; NULL: none given) and 1; 0 when there is none. */
static int find_waiting(const mlc *m, const char *run_id, char **experiment)
{
    sv_buffer path = SV_BUFFER_INIT(0);
    json_t *first = NULL;
    int found = mlf_is_journal_key(run_id) && !sv_buffer_format(&path, "%s/%s", m->client->settings.journal_dir, run_id) &&
                read_first(&first, path.data);
    *experiment = sv_strdup(json_string_value(json_object_get(first, "experiment")));
    json_decref(first);
    sv_buffer_free(&path);
    return found;
}

/* Does the journal at path hold something of the run that is still to be sent? asked: the key that was last looked for on the server, and known: the run it was. Not
   one that somebody holds: it is on its way. */
static int waits_for(mlc *m, const char *path, const char *run_id, char asked[MLC_RUN_SIZE], char known[MLC_RUN_SIZE])
{
    mlf_journal *journal = NULL;
    mlf_journal_record record;
    mlf_journal_info info = {0};
    if (mlf_journal_open(&journal, path, NULL)) return 0;
    mlf_journal_info_get(journal, &info);
    int waits = !*info.holder && info.bytes_taken < info.bytes, same = waits && !strcmp(info.run_id, run_id);
    json_t *first = waits && !same && !mlf_journal_next(journal, &record, NULL) && !strcmp(record.kind, "continue") ? parsed(record.json) : NULL;
    const char *id = json_string_value(json_object_get(first, "run_id"));
    if (id && strlen(id) < MLC_RUN_SIZE) {
        if (strcmp(id, asked) != 0) {
            strcpy(asked, id);
            strcpy(known, id);
            if (strcmp(id, run_id) != 0) mlc_know_run(m, known);
        }
        same = !strcmp(id, run_id) || !strcmp(known, run_id);
    }
    json_decref(first);
    mlf_journal_close(journal);
    return same;
}

/* Does a journal here wait to go on with the run? What comes then goes behind it, as what it holds would undo it later. */
static int is_continued(mlc *m, const char *run_id)
{
    char **paths = NULL, asked[MLC_RUN_SIZE] = "", known[MLC_RUN_SIZE] = "";
    int found = 0;
    if (mlf_journal_list(&paths, m->client, NULL, NULL)) return 0;
    for (size_t i = 0; paths[i] && !found; i++)
        found = waits_for(m, paths[i], run_id, asked, known);
    mlf_free(paths);
    return found;
}

int mlc_run_of_waiting_model(mlc *m, const char *key, char run_id[MLC_RUN_SIZE])
{
    char **paths = NULL;
    int code = mlf_journal_list(&paths, m->client, NULL, &m->error), found = 0;
    for (size_t i = 0; !code && paths[i] && !found; i++) {
        if (mlf_waiting_holds_model(paths[i], key, NULL) <= 0) continue;
        json_t *first;
        read_first(&first, paths[i]);
        const char *continued = json_string_value(json_object_get(first, "run_id"));
        const char *id = continued ? continued : json_string_value(json_object_get(first, "key"));
        found = id && (size_t)snprintf(run_id, MLC_RUN_SIZE, "%s", id) < MLC_RUN_SIZE;
        json_decref(first);
    }
    mlf_free(paths);
    return code ? code : found;
}

int mlc_offline_client(mlf_client **out, mlc *m)
{
    mlf_client_options options = MLF_CLIENT_OPTIONS_INIT;
    options.offline = 1;
    options.tracking_uri = m->client->settings.server_is_asked ? m->client->settings.tracking_uri : NULL;
    return mlf_client_new(out, &options, &m->error);
}

int mlc_waits_here(const mlc *m, const char *run_id)
{
    char *experiment;
    int waits = find_waiting(m, run_id, &experiment);
    sv_free(experiment);
    return waits;
}

/* Into a journal of its own, behind what the run has already: the server is not asked. */
static int keep(mlc *m, const char *run_id, const char *experiment, const mlc_deed *deed)
{
    mlf_run_options options = MLF_RUN_OPTIONS_INIT;
    mlf_client *client = NULL;
    mlf_run *run = NULL;
    options.run_id = run_id;
    options.experiment = experiment;
    options.keep_status = 1;
    options.system_metrics = 0;
    int code = mlc_offline_client(&client, m);
    if (!code) code = mlf_run_create(&run, client, &options, &m->error);
    if (!code) code = deed->keep(m, run, deed->what);
    if (!code) code = mlf_flush(client, -1, &m->error);
    mlf_run_free(run);
    mlf_client_free(client);
    return code;
}

void mlc_say_kept(const mlf_error *why)
{
    sv_say("mlflowc: %s%skept in the journal for `mlflowc sync`", why->message, *why->message ? ": " : "");
}

int mlc_send_or_keep(mlc *m, char *run_id, const mlc_deed *deed)
{
    mlf_error sent = MLF_ERROR_INIT;
    char *experiment;
    int waits = find_waiting(m, run_id, &experiment) || mlc_is_away(m) || !deed->send, code = MLF_OK;
    if (!waits) {
        mlc_know_run(m, run_id);
        waits = is_continued(m, run_id);
        if (waits) mlf_error_set(&sent, MLF_E_STATE, "run %.100s: what a journal here holds of it goes first", run_id);
    }
    if (!waits) {
        code = deed->send(m, run_id, deed->what, &sent);
        waits = mlf_is_for_later(code, &sent);
    }
    if (waits)
        code = keep(m, run_id, experiment, deed);
    else
        m->error = sent;
    if (waits && !code) mlc_say_kept(&sent);
    sv_free(experiment);
    return code;
}
