/* The thread that works and rests: work comes again, a wake ends a rest, an end comes in the middle of one, and the last call is the last. */
#include "clock.h"
#include "periodic.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <time.h>

typedef struct counts {
    atomic_int works, lasts, is_stuck;
} counts;

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static void count(void *context, int is_last)
{
    counts *c = context;
    atomic_fetch_add(is_last ? &c->lasts : &c->works, 1);
    while (atomic_load(&c->is_stuck))
        pause_ms(1);
}

static int wait_for(const atomic_int *number, int wanted)
{
    for (int i = 0; i < 5000 && atomic_load(number) < wanted; i++)
        pause_ms(1);
    return atomic_load(number) >= wanted;
}

Test(periodic, it_works_again_and_again_and_once_more_at_the_end)
{
    counts c = {0};
    sv_periodic *periodic;
    cr_assert_eq(sv_periodic_start(&periodic, "test", 1, 10, count, &c, NULL), 0);
    cr_expect(wait_for(&c.works, 5));
    cr_expect_eq(c.lasts, 0);
    cr_assert_eq(sv_periodic_stop(periodic, -1), 0);
    cr_expect_eq(c.lasts, 1);
}

Test(periodic, a_wake_ends_a_rest_and_so_does_the_end)
{
    counts c = {0};
    sv_periodic *periodic;
    int64_t began_ns = sv_monotonic_ns();
    cr_assert_eq(sv_periodic_start(&periodic, "test", 3600000, 0, count, &c, NULL), 0);
    sv_periodic_wake(periodic);
    cr_expect(wait_for(&c.works, 1));
    cr_assert_eq(sv_periodic_stop(periodic, -1), 0);
    cr_expect(c.works == 1 && c.lasts == 1);
    cr_expect_lt(sv_monotonic_ns() - began_ns, INT64_C(60000000000));
}

Test(periodic, the_end_is_waited_for_as_long_as_was_said)
{
    counts c = {.is_stuck = 1};
    sv_periodic *periodic;
    cr_assert_eq(sv_periodic_start(&periodic, "test", 1, 0, count, &c, NULL), 0);
    cr_expect(wait_for(&c.works, 1));
    cr_assert_eq(sv_periodic_stop(periodic, 0), -1);
    cr_assert_eq(sv_periodic_stop(periodic, 20), -1);
    atomic_store(&c.is_stuck, 0);
    cr_assert_eq(sv_periodic_stop(periodic, -1), 0);
    cr_expect_eq(c.lasts, 1);
}
