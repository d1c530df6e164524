/* What calls are bringing to the server themselves: written, over, read again. */
#include "alloc.h"
#include "calls.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static mlf_calls calls;

static void begin_dir(void)
{
    strcpy(dir, "/tmp/test-calls-XXXXXX");
    cr_assert(mkdtemp(dir) != NULL);
    mlf_calls_init(&calls);
}

static void end_dir(void)
{
    char path[128];
    mlf_calls_close(&calls);
    snprintf(path, sizeof path, "%s/calls.jrn", dir);
    unlink(path);
    rmdir(dir);
}

TestSuite(calls, .init = begin_dir, .fini = end_dir);

static const char *key_of(int i)
{
    static char key[MLF_CALLS_KEY + 1];
    snprintf(key, sizeof key, "%032x", i);
    return key;
}

static void begin(int i, int kind, const char *said)
{
    json_t *payload = json_pack("{s:s, s:s}", "key", key_of(i), "said", said);
    cr_assert_eq(mlf_calls_begin(&calls, dir, kind, payload, NULL), 0);
    json_decref(payload);
}

static void end(int i)
{
    mlf_calls_end(&calls, dir, key_of(i));
}

/* "kind said, kind said …" of those that are not over. */
static const char *left(void)
{
    static char text[512];
    json_t *list = NULL, *call;
    mlf_loss loss;
    mlf_error error = MLF_ERROR_INIT;
    size_t i;
    *text = '\0';
    cr_assert_eq(mlf_calls_read(&list, &loss, dir, &error), 0, "%s", error.message);
    cr_assert_eq(loss.bytes, 0);
    json_array_foreach(list, i, call)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d %s, ", (int)json_integer_value(json_object_get(call, "op")), json_string_value(json_object_get(json_object_get(call, "payload"), "said")));
    json_decref(list);
    return text;
}

static long size_of_file(void)
{
    char path[128];
    struct stat about;
    snprintf(path, sizeof path, "%s/calls.jrn", dir);
    return stat(path, &about) ? -1 : (long)about.st_size;
}

Test(calls, only_what_is_not_over_is_left_in_order)
{
    cr_expect_str_eq(left(), "");
    begin(1, MLF_OP_ARTIFACT, "a");
    begin(2, MLF_OP_MODEL, "b");
    begin(3, MLF_OP_REGISTER, "c");
    cr_expect_str_eq(left(), "7 a, 8 b, 9 c, ");
    end(2);
    cr_expect_str_eq(left(), "7 a, 9 c, ");
    begin(1, MLF_OP_ARTIFACT, "more of a");
    cr_expect_str_eq(left(), "9 c, 7 more of a, ");
    end(3);
    end(1);
    end(1); /* of one that is over nothing is left to say */
    cr_expect_str_eq(left(), "");
    cr_expect_eq(size_of_file(), 16);
}

Test(calls, one_long_call_and_many_short_ones_leave_a_short_file)
{
    begin(0, MLF_OP_ARTIFACT, "long");
    for (int i = 1; i < 20000; i++) {
        begin(i, MLF_OP_ARTIFACT, "short");
        end(i);
    }
    cr_expect_str_eq(left(), "7 long, ");
    cr_expect_lt(size_of_file(), 200);
}

Test(calls, calls_that_overlap_all_the_time_leave_a_bounded_file)
{
    char text[1001];
    memset(text, 'x', sizeof text - 1);
    text[1000] = '\0';
    begin(0, MLF_OP_ARTIFACT, "first");
    for (int i = 1; i < 5000; i++) {
        begin(i, MLF_OP_ARTIFACT, text);
        end(i - 1);
    }
    cr_expect_lt(size_of_file(), (1 << 20) + 4096);
    begin(5000, MLF_OP_ARTIFACT, "last");
    end(4999);
    cr_expect_str_eq(left(), "7 last, ");
}

Test(calls, a_torn_end_had_not_begun)
{
    char path[128];
    begin(1, MLF_OP_ARTIFACT, "whole");
    long whole = size_of_file();
    begin(2, MLF_OP_ARTIFACT, "torn");
    snprintf(path, sizeof path, "%s/calls.jrn", dir);
    for (long size = size_of_file() - 1; size >= whole; size--) {
        cr_assert_eq(truncate(path, size), 0);
        cr_expect_str_eq(left(), "7 whole, ", "%ld", size);
    }
}

Test(calls, on_a_disk_that_takes_no_more_what_is_over_stays_over)
{
    struct rlimit most;
    begin(1, MLF_OP_ARTIFACT, "a");
    begin(2, MLF_OP_ARTIFACT, "b");
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &most);
    most.rlim_cur = (rlim_t)size_of_file();
    setrlimit(RLIMIT_FSIZE, &most);
    begin(3, MLF_OP_ARTIFACT, "c"); /* goes on without a record */
    end(1);
    cr_expect_str_eq(left(), "7 b, ");
    end(3);
    end(2);
    cr_expect_eq(size_of_file(), 16);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_FSIZE, &most);
}

Test(calls, any_allocation_may_fail)
{
    for (int k = 0; k < 200; k++) {
        json_t *payload = json_pack("{s:s}", "key", key_of(k));
        unsigned long before = sv_alloc_count();
        sv_alloc_fail_after(k, 1);
        int code = mlf_calls_begin(&calls, dir, MLF_OP_ARTIFACT, payload, NULL);
        if (!code)
            end(k);
        int reached = sv_alloc_count() - before > (unsigned long)k;
        sv_alloc_fail_after(-1, 0);
        json_decref(payload);
        end(k); /* also where memory was out for its end */
        cr_expect(!code || code == MLF_E_MEMORY);
        cr_expect_str_eq(left(), "");
        if (!reached)
            return;
    }
    cr_assert_fail("it never ends");
}
