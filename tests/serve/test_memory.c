/* What the server keeps of its answers: the queue to the background and the ledger of recent predictions, both bounded. */
#include "ledger.h"
#include "prng.h"
#include "record_queue.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#define N_RECORDS 200000

typedef struct lane {
    sv_record_queue *queue;
    atomic_int ended;
    unsigned long put;
} lane;

/* Record number i says so in every part; its sizes follow from it. */
static sv_record numbered(uint64_t i, char body[600], sv_tapped rows[SV_TAP_ROWS])
{
    size_t size = sv_mix64(i) % 600, n = sv_mix64(i + 1) % SV_TAP_ROWS;
    memset(body, (int)(i % 251), 600);
    for (size_t r = 0; r < n; r++)
        rows[r] = (sv_tapped){(double)i, (double)r};
    sv_record record = {.time_ms = (int64_t)i, .n_tapped = n, .tapped = rows};
    record.texts[SV_RECORD_ID] = sv_span_of("id");
    record.texts[SV_RECORD_BODY] = (sv_span){body, size};
    return record;
}

static void *write_records(void *argument)
{
    lane *l = argument;
    char body[600];
    sv_tapped rows[SV_TAP_ROWS];
    for (uint64_t i = 0; i < N_RECORDS; i++) {
        sv_record record = numbered(i, body, rows);
        int put = sv_record_queue_put(l->queue, &record);
        l->put += (unsigned long)put;
        if (!put)
            sched_yield(); /* so that the reader gets its turn on a busy machine */
    }
    atomic_store(&l->ended, 1);
    return NULL;
}

static void check_record(const sv_record *got)
{
    char body[600];
    sv_tapped rows[SV_TAP_ROWS];
    sv_record expected = numbered((uint64_t)got->time_ms, body, rows);
    cr_assert(sv_span_equal(got->texts[SV_RECORD_BODY], expected.texts[SV_RECORD_BODY]) && sv_span_is(got->texts[SV_RECORD_ID], "id"));
    cr_assert_null(got->texts[SV_RECORD_TRACE].text);
    cr_assert_eq(got->n_tapped, expected.n_tapped);
    cr_assert(got->n_tapped == 0 || memcmp(got->tapped, expected.tapped, got->n_tapped * sizeof *rows) == 0);
}

Test(record_queue, one_writer_and_one_reader_at_once)
{
    lane l = {0};
    pthread_t writer;
    sv_record record;
    cr_assert_eq(sv_record_queue_new(&l.queue, 16384), 0);
    cr_assert_eq(pthread_create(&writer, NULL, write_records, &l), 0);
    unsigned long n = 0;
    int64_t last = -1;
    for (int is_last = 0;;) {
        if (sv_record_queue_get(l.queue, &record)) {
            cr_assert_gt(record.time_ms, last);
            last = record.time_ms;
            check_record(&record);
            sv_record_queue_drop(l.queue);
            n++;
        } else if (is_last) {
            break;
        } else {
            is_last = atomic_load(&l.ended);
        }
    }
    pthread_join(writer, NULL);
    cr_assert_eq(n, l.put);
    cr_assert_eq(n + sv_record_queue_dropped(l.queue), N_RECORDS);
    cr_assert_gt(n, 100);
    sv_record_queue_free(l.queue);
}

Test(record_queue, what_is_too_long_is_dropped)
{
    sv_record_queue *queue;
    char body[4096] = {0};
    sv_record record = {.texts[SV_RECORD_BODY] = {body, sizeof body}};
    cr_assert_eq(sv_record_queue_new(&queue, 16384), 0);
    cr_assert_eq(sv_record_queue_put(queue, &record), 0);
    cr_assert_eq(sv_record_queue_dropped(queue), 1);
    cr_assert_eq(sv_record_queue_get(queue, &record), 0);
    sv_record_queue_free(queue);
}

static sv_ledger_found take(sv_ledger *ledger, int i, size_t row, sv_tapped *prediction)
{
    char id[32];
    uint32_t version;
    snprintf(id, sizeof id, "r%d", i);
    return sv_ledger_take(ledger, 0, sv_span_of(id), row, prediction, &version);
}

Test(ledger, keeps_the_newest_and_forgets_the_oldest)
{
    sv_ledger *ledger;
    sv_tapped prediction;
    cr_assert_eq(sv_ledger_new(&ledger, 4096), 0);
    cr_assert_eq(sv_ledger_size(ledger), 4096);
    for (int i = 0; i < 50000; i++) {
        char id[32];
        snprintf(id, sizeof id, "r%d", i);
        sv_ledger_add(ledger, 0, sv_span_of(id), 1, (sv_tapped[]){{i, 0}, {-i, 1}}, 2);
    }
    int n_found = 0;
    for (int i = 0; i < 50000; i++)
        for (size_t row = 0; row < 2; row++) {
            sv_ledger_found found = take(ledger, i, row, &prediction);
            cr_assert(found == SV_LEDGER_UNKNOWN || prediction.value == (row ? -i : i));
            cr_assert(i < 50000 - 1500 || found == SV_LEDGER_FOUND, "request %d of the last 1,500 of about 2,048 is lost", i);
            cr_assert(i > 50000 - 2700 || found == SV_LEDGER_UNKNOWN, "request %d is far too old", i);
            n_found += found == SV_LEDGER_FOUND;
        }
    cr_assert_eq(n_found, 4096);
    cr_assert_eq(take(ledger, 49999, 1, &prediction), SV_LEDGER_TOLD);
    cr_assert_eq(take(ledger, 49999, 2, &prediction), SV_LEDGER_UNKNOWN);
    sv_ledger_free(ledger);
}
