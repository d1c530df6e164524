/* mlflowc sync and journal: what waits on disk. */
#include "alloc.h"
#include "client_error.h"
#include "json_text.h"
#include "log.h"
#include "mlflowc.h"
#include "number.h"
#include "text.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* A folder that is named is there; the usual one need not be. */
static int check_there(mlc *m)
{
    int code = MLF_OK;
    for (int i = 0; !code && i < m->n_arguments; i++)
        if (access(m->arguments[i], F_OK)) code = mlf_error_set(&m->error, MLF_E_NOT_FOUND, "%s: there is no such folder", m->arguments[i]);
    return code;
}

/* ---- sync ---- */

static void progress(void *context, const char *journal, const char *run_id, const char *state, uint64_t points)
{
    mlc *m = context;
    if (m->json) {
        json_t *line = json_pack("{s:s, s:s, s:s, s:I}", "journal", journal, "run_id", run_id ? run_id : "", "state",
                                 state, "points", (json_int_t)points);
        mlc_print_object(m, MLF_OK, mlf_object_of(line));
    } else {
        sv_buffer line = SV_BUFFER_INIT(0);
        int code = sv_text_append_line(&line, journal, strlen(journal)) || sv_buffer_text(&line, ": ") ||
                   sv_text_append_line(&line, state, strlen(state)) ||
                   (run_id && *run_id && sv_buffer_format(&line, ", run %s", run_id)) ||
                   (points && sv_buffer_format(&line, ", %" PRIu64 " point%s", points, points == 1 ? "" : "s"));
        puts(code ? journal : line.data);
        sv_buffer_free(&line);
    }
    fflush(stdout);
}

static void put_report(mlc *m, const mlf_sync_report *report)
{
    if (!m->json) {
        printf("%" PRIu64 " journal%s: %" PRIu64 " sent, %" PRIu64 " waiting, %" PRIu64 " in use elsewhere; %" PRIu64
               " points and %" PRIu64 " operations taken, %" PRIu64 " refused\n",
               report->journals, report->journals == 1 ? "" : "s", report->sent, report->waiting, report->busy, report->points, report->operations,
               report->refused);
        if (report->lost_bytes)
            printf("lost: %" PRIu64 " bytes of journals that could not be read, with at least %" PRIu64 " points and %" PRIu64
                   " operations\n",
                   report->lost_bytes, report->lost_points, report->lost_operations);
        return;
    }
    json_t *line = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "journals", (json_int_t)report->journals, "sent",
                             (json_int_t)report->sent, "waiting", (json_int_t)report->waiting, "busy",
                             (json_int_t)report->busy, "points", (json_int_t)report->points, "operations",
                             (json_int_t)report->operations, "refused", (json_int_t)report->refused, "lost_bytes",
                             (json_int_t)report->lost_bytes, "lost_points", (json_int_t)report->lost_points,
                             "lost_operations", (json_int_t)report->lost_operations);
    mlc_print_object(m, MLF_OK, mlf_object_of(line));
}

int mlc_sync(mlc *m)
{
    mlf_sync_options options = MLF_SYNC_OPTIONS_INIT;
    mlf_sync_report report = {0};
    long connections, patience;
    int code = mlc_option_number(m, "threads", 0, 1, &connections);
    if (!code) code = mlc_option_number(m, "timeout", 0, 1, &patience);
    if (code) return code;
    options.timeout_ms = patience > 86400 ? 86400000 : (int)patience * 1000;
    options.connections = connections > 64 ? 64 : (int)connections;
    options.progress = progress;
    options.context = m;
    if ((code = check_there(m))) return code;
    code = mlf_sync(m->client, (const char *const *)m->arguments, (size_t)m->n_arguments, &options, &report, &m->error);
    put_report(m, &report);
    if (report.lost_bytes || report.refused) m->exit_status = 1;
    return code;
}

/* ---- journal ---- */

static json_t *row_of(const mlf_journal *journal)
{
    mlf_journal_info info;
    char state[128];
    mlf_journal_info_get(journal, &info);
    snprintf(state, sizeof state, "%s%s", *info.holder ? "in use by " : "waits", info.holder);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I}", "key", info.key, "path", info.path, "run_id",
                     info.run_id, "state", state, "holder", info.holder, "tracking_uri", info.tracking_uri, "ended", info.ended, "bytes", (json_int_t)info.bytes,
                     "bytes_waiting", (json_int_t)(info.bytes - info.bytes_taken), "points_taken",
                     (json_int_t)info.points_taken, "operations_taken", (json_int_t)info.operations_taken, "refused",
                     (json_int_t)info.refused);
}

/* One that cannot be opened. */
static json_t *row_of_damaged(const char *path, const mlf_error *error)
{
    const char *slash = strrchr(path, '/');
    return json_pack("{s:s, s:s, s:s, s:s}", "key", slash ? slash + 1 : path, "path", path, "state", "cannot be read", "error", error->message);
}

int mlc_journal_list(mlc *m)
{
    static const mlc_column columns[] = {{"JOURNAL", "key"},     {"RUN", "run_id"},       {"WAITING", "bytes_waiting#"},
                                         {"REFUSED", "refused"}, {"STATE", "state"},      {"SERVER", "tracking_uri"},
                                         {"PATH", "path"}};
    char **paths = NULL;
    int code = check_there(m);
    if (!code) code = mlf_journal_list(&paths, m->client, m->n_arguments ? m->arguments[0] : NULL, &m->error);
    mlc_table *table = code ? NULL : mlc_table_begin(m, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; table && paths[i]; i++) {
        mlf_journal *journal = NULL;
        mlf_error error = MLF_ERROR_INIT;
        int unread = mlf_journal_open(&journal, paths[i], &error);
        json_t *row = unread ? row_of_damaged(paths[i], &error) : row_of(journal);
        if (row) mlc_table_row(table, mlf_object_of(row));
        json_decref(row);
        mlf_journal_close(journal);
        if (unread && !m->error.code) m->error = error; /* the first is told below the table, and is the command's outcome */
    }
    if (table) mlc_table_end(table);
    mlf_free(paths);
    return code ? code : m->error.code;
}

/* A point as {kind, key, value, step, timestamp, taken}; an operation as {kind, operation, taken}. */
static json_t *record_row(const mlf_journal_record *record)
{
    if (record->is_point) {
        char value[SV_NUMBER_SIZE];
        sv_format_double(value, record->value);
        return json_pack("{s:s, s:s, s:s, s:I, s:I, s:b}", "kind", record->kind, "key", record->key, "value", value,
                         "step", (json_int_t)record->step, "timestamp", (json_int_t)record->timestamp_ms, "taken",
                         record->is_taken);
    }
    json_t *operation;
    mlf_json_parse(&operation, record->json, record->json ? strlen(record->json) : 0, 0, NULL);
    return json_pack("{s:s, s:s*, s:b, s:o}", "kind", record->kind, "value", record->json, "taken", record->is_taken,
                     "operation", operation ? operation : json_object());
}

int mlc_journal_show(mlc *m)
{
    static const mlc_column columns[] = {{"KIND", "kind"}, {"TAKEN", "taken"},     {"KEY", "key"},
                                         {"STEP", "step"}, {"TIME", "timestamp~"}, {"VALUE", "value"}};
    mlf_journal *journal = NULL;
    mlf_journal_record record;
    long limit, shown = 0;
    int code = mlc_option_number(m, "limit", 1000000000, 1, &limit);
    if (!code) code = mlf_journal_open(&journal, m->arguments[0], &m->error);
    mlc_table *table = code ? NULL : mlc_table_begin(m, columns, sizeof columns / sizeof *columns);
    for (; table && !code && shown < limit; shown++) {
        mlf_error error = MLF_ERROR_INIT;
        code = mlf_journal_next(journal, &record, &error);
        json_t *row = code ? NULL : record_row(&record);
        if (code == MLF_E_INTEGRITY) {
            sv_say("mlflowc: %s", error.message);
            m->exit_status = 1;
            code = MLF_OK; /* what stands behind it is shown, too */
        } else if (code) {
            m->error = error;
        }
        if (row) mlc_table_row(table, mlf_object_of(row));
        json_decref(row);
    }
    if (table) mlc_table_end(table);
    mlf_journal_close(journal);
    return code == MLF_E_END ? MLF_OK : code;
}
