/* Every solver out of memory: whichever allocation fails, sv_solve says so, hands over nothing, and nothing is left behind. */
#include "alloc.h"
#include "design.h"
#include "prng.h"
#include "solver.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#define LEAKS() __lsan_do_recoverable_leak_check()
#else
#define LEAKS() 0
#endif

enum { N = 20000, NUMBERS = 3, LEVELS = 5 }; /* so many rows that auto begins with a sample */

static double x[NUMBERS][N], y[N];
static uint8_t job[N], parts[N];

static void fill(size_t n_classes)
{
    sv_prng prng;
    sv_prng_seed(&prng, 11);
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < NUMBERS; j++)
            x[j][i] = sv_prng_normal(&prng);
        job[i] = (uint8_t)sv_prng_below(&prng, LEVELS);
        parts[i] = i % 5 == 0;
        y[i] = n_classes > 2 ? (double)sv_prng_below(&prng, n_classes) : sv_prng_uniform(&prng) < 1 / (1 + exp(-x[0][i]));
    }
}

static sv_design *design_of(uint8_t part, size_t n_classes)
{
    static const int32_t slots[LEVELS] = {-1, 0, 1, 2, 3};
    sv_design *d = NULL;
    sv_error error = SV_ERROR_INIT;
    cr_assert_eq(sv_design_new(&d, N, NUMBERS, 1, &error), 0, "%s", error.message);
    for (size_t j = 0; j < NUMBERS; j++)
        d->numbers[j] = (sv_design_number){.data = x[j], .store = SV_STORE_F64, .scale = 1};
    d->factors[0].codes = job;
    d->factors[0].store = SV_STORE_CODE8;
    cr_assert_eq(sv_design_set_slots(d, 0, slots, LEVELS, LEVELS - 1, &error), 0, "%s", error.message);
    d->target = y;
    d->target_store = SV_STORE_F64;
    d->n_classes = n_classes;
    d->parts = parts;
    d->part = part;
    cr_assert_eq(sv_design_finish(d, NULL, &error), 0, "%s", error.message);
    return d;
}

static const struct {
    const char *name;
    sv_solver solver;
    double l1;
    size_t n_classes; /* 0: the squared loss */
} cases[] = {
    {"auto, from a sample", SV_SOLVER_AUTO, 0, 2}, {"auto, three classes", SV_SOLVER_AUTO, 0, 3}, {"newton", SV_SOLVER_NEWTON, 0, 2}, {"newton, squared", SV_SOLVER_NEWTON, 0, 0}, {"newton, three classes", SV_SOLVER_NEWTON, 0, 3},
    {"lbfgs", SV_SOLVER_LBFGS, 0, 2}, {"gd", SV_SOLVER_GD, 0, 2}, {"nesterov", SV_SOLVER_NESTEROV, 0, 2}, {"sgd", SV_SOLVER_SGD, 0, 2}, {"adam", SV_SOLVER_ADAM, 0, 2},
    {"cd", SV_SOLVER_CD, 1, 2}, {"cd, three classes", SV_SOLVER_CD, 1, 3},
};

/* With the k-th allocation failing (alone, or with all that follow), twice over: a checkpoint is written, validation rows are watched. Returns how many k there were. */
static long starve(size_t c, int alone, const char *checkpoint)
{
    sv_error error = SV_ERROR_INIT;
    sv_team *team = NULL;
    sv_design *train = design_of(0, cases[c].n_classes), *validation = design_of(1, cases[c].n_classes);
    sv_loss loss = cases[c].n_classes == 0 ? SV_LOSS_SQUARED : cases[c].n_classes == 2 ? SV_LOSS_LOGISTIC : SV_LOSS_SOFTMAX;
    sv_solver_options options = {.solver = cases[c].solver, .c = 1, .l2 = 1, .l1 = cases[c].l1, .tolerance = 1e-6, .max_iter = 2, .step = SV_STEP_BACKTRACKING, .momentum = 0.5,
                                 .batch_size = 5000, .seed = 1, .patience = 2, .validation = validation, .checkpoint = checkpoint, .checkpoint_every = 1};
    cr_assert_eq(sv_team_new(&team, 2, &error), 0, "%s", error.message);
    for (long k = 0;; k++) {
        sv_solution solution;
        sv_error_clear(&error);
        sv_alloc_fail_after(k, alone);
        int rc = sv_solve(&solution, train, loss, &options, team, NULL, &error);
        sv_alloc_fail_after(-1, 0);
        cr_assert(k < 2000, "%s: still failing", cases[c].name);
        if (!rc) {
            cr_assert_not_null(solution.weights);
            sv_solution_free(&solution);
            sv_team_free(team);
            sv_design_free(train);
            sv_design_free(validation);
            return k;
        }
        cr_assert_eq(rc, SV_E_MEMORY, "%s, allocation %ld: expected the memory error, got %d: %s", cases[c].name, k, rc, error.message);
        cr_assert(error.message[0], "%s, allocation %ld: says nothing", cases[c].name, k);
        cr_assert_null(solution.weights);
        sv_solution_free(&solution);
    }
}

Test(solver, every_failed_allocation_ends_every_solver_with_the_memory_error)
{
    char folder[] = "/tmp/solver.XXXXXX", checkpoint[64];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint", folder);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        fill(cases[c].n_classes);
        for (int alone = 0; alone < 2; alone++) {
            long n = starve(c, alone, checkpoint);
            cr_assert(n > 5, "%s: only %ld allocations failed", cases[c].name, n);
            cr_assert_eq(LEAKS(), 0, "%s: a failed allocation leaves something behind", cases[c].name);
        }
    }
    remove(checkpoint);
    remove(folder);
}
