/* fit_columns.c: fits a model on columns that lie in a folder as plain arrays and prints what it took, one JSON object. bench/train/run compares it with others,
   tests/trainer/test_golden.py its weights with scikit-learn's.

       fit_columns FOLDER [threads=N] [solver=auto] [loss=logistic] [c=1] [l1=0] [l2=1] [tolerance=1e-8] [max_iter=1000] [repeats=1] [classes=2]
                          [keep_first=0] [weights=FILE] [errors=FILE] [checkpoint=FILE every=N] [resume=FILE] [trace=0]

   FOLDER/columns.txt: a line for each column: name, role (number, factor, target, weight, offset), store (i8 i16 i32 i64 f64 code8 code16), levels (factors).
   Statistics of the numbers, joining codes and the fit are all inside the measured time; reading the files is not. */
#include "alloc.h"
#include "buffer.h"
#include "clock.h"
#include "file.h"
#include "inference.h"
#include "ranks.h"
#include "solver.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_COLUMNS = 512 };

typedef struct column {
    char name[64], role[16], store_name[16];
    sv_store store;
    size_t n_levels;
    void *data;
} column;

typedef struct table {
    size_t n_rows, n_columns;
    column columns[MAX_COLUMNS];
} table;

static int store_of(const char *name, sv_store *store)
{
    static const char *const names[] = {"i8", "i16", "i32", "i64", "f64", "code8", "code16", "code32"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) {
            *store = (sv_store)i;
            return 0;
        }
    return -1;
}

static int load(table *t, const char *folder, sv_error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/columns.txt", folder);
    FILE *list = fopen(path, "r");
    if (!list) return sv_error_set(error, SV_E_IO, "%s: not there", path);
    while (t->n_columns < MAX_COLUMNS) {
        column *c = &t->columns[t->n_columns];
        sv_buffer bytes = SV_BUFFER_INIT(0);
        if (fscanf(list, "%63s %15s %15s %zu", c->name, c->role, c->store_name, &c->n_levels) != 4) break;
        snprintf(path, sizeof path, "%s/%s", folder, c->name);
        if (store_of(c->store_name, &c->store) || sv_file_read(&bytes, path, 0, error)) {
            fclose(list);
            return sv_error_set(error, SV_E_INPUT, "%s: store %s", c->name, c->store_name);
        }
        t->n_rows = bytes.size / sv_store_size(c->store);
        c->data = sv_buffer_take(&bytes);
        t->n_columns++;
    }
    fclose(list);
    return 0;
}

typedef struct moments_task {
    sv_design *design;
    size_t n_chunks;
    double *sums; // (n_chunks, n_numbers, 2)
} moments_task;

/* Sums and squares about the first row's value: one reading of the columns. */
static void chunk_moments(void *context, size_t chunk, size_t worker)
{
    moments_task *m = context;
    size_t n = m->design->n_rows, begin = chunk * n / m->n_chunks, end = (chunk + 1) * n / m->n_chunks;
    double block[512];
    (void)worker;
    for (size_t j = 0; j < m->design->n_numbers; j++) {
        const sv_design_number *number = &m->design->numbers[j];
        double *out = m->sums + (chunk * m->design->n_numbers + j) * 2, shift;
        sv_design_widen(&shift, number->data, number->store, 0, 1);
        double lane[2][8] = {{0}};
        for (size_t first = begin; first < end; first += 512) {
            size_t some = end - first < 512 ? end - first : 512, i;
            sv_design_widen(block, number->data, number->store, first, some);
            for (i = 0; i + 8 <= some; i += 8)
                for (int l = 0; l < 8; l++) {
                    double x = block[i + (size_t)l] - shift;
                    lane[0][l] += x;
                    lane[1][l] += x * x;
                }
            for (; i < some; i++) {
                lane[0][0] += block[i] - shift;
                lane[1][0] += (block[i] - shift) * (block[i] - shift);
            }
        }
        out[0] = out[1] = 0;
        for (int l = 0; l < 8; l++) {
            out[0] += lane[0][l];
            out[1] += lane[1][l];
        }
    }
}

static int standardise(sv_design *design, sv_team *team, sv_error *error)
{
    moments_task m = {design, 16, sv_calloc(16 * 2 * design->n_numbers, sizeof(double))};
    if (!m.sums) return sv_error_set(error, SV_E_MEMORY, "out of memory");
    sv_team_run(team, m.n_chunks, chunk_moments, &m);
    for (size_t j = 0; j < design->n_numbers; j++) {
        double sum = 0, squares = 0, n = (double)design->n_rows, shift;
        sv_design_widen(&shift, design->numbers[j].data, design->numbers[j].store, 0, 1);
        for (size_t k = 0; k < m.n_chunks; k++) {
            sum += m.sums[(k * design->n_numbers + j) * 2];
            squares += m.sums[(k * design->n_numbers + j) * 2 + 1];
        }
        design->numbers[j].centre = shift + sum / n;
        design->numbers[j].scale = sqrt(squares / n - sum / n * (sum / n));
    }
    sv_free(m.sums);
    return 0;
}

typedef struct settings {
    sv_solver_options solver;
    sv_loss loss;
    size_t threads, classes, repeats;
    int keep_first, trace;
    const char *weights, *errors;
} settings;

static int build(sv_design **out, const table *t, const settings *how, sv_team *team, sv_error *error)
{
    size_t n_numbers = 0, n_factors = 0, j = 0, f = 0;
    for (size_t c = 0; c < t->n_columns; c++) {
        n_numbers += !strcmp(t->columns[c].role, "number");
        n_factors += !strcmp(t->columns[c].role, "factor");
    }
    int rc = sv_design_new(out, t->n_rows, n_numbers, n_factors, error);
    for (size_t c = 0; !rc && c < t->n_columns; c++) {
        const column *from = &t->columns[c];
        if (!strcmp(from->role, "number")) (*out)->numbers[j++] = (sv_design_number){.data = from->data, .store = from->store, .scale = 1};
        else if (!strcmp(from->role, "target")) {
            (*out)->target = from->data;
            (*out)->target_store = from->store;
            (*out)->n_classes = how->loss == SV_LOSS_LOGISTIC || how->loss == SV_LOSS_SOFTMAX ? how->classes : 0;
        } else if (!strcmp(from->role, "weight")) (*out)->weights = from->data;
        else if (!strcmp(from->role, "offset")) (*out)->offsets = from->data;
        else {
            int32_t slots[65536];
            for (size_t l = 0; l < from->n_levels && l < 65536; l++)
                slots[l] = (int32_t)l - !how->keep_first; /* the first level is dropped */
            (*out)->factors[f].codes = from->data;
            (*out)->factors[f].store = from->store;
            rc = sv_design_set_slots(*out, f++, slots, from->n_levels, from->n_levels - (size_t)!how->keep_first, error);
        }
    }
    if (!rc) rc = standardise(*out, team, error);
    return rc ? rc : sv_design_finish(*out, team, error);
}

typedef struct word {
    const char *name;
    int value;
} word;

static const word solvers[] = {{"auto", SV_SOLVER_AUTO}, {"newton", SV_SOLVER_NEWTON}, {"lbfgs", SV_SOLVER_LBFGS}, {"gd", SV_SOLVER_GD}, {"nesterov", SV_SOLVER_NESTEROV},
                               {"sgd", SV_SOLVER_SGD}, {"adam", SV_SOLVER_ADAM}, {"cd", SV_SOLVER_CD}, {NULL, 0}};
static const word losses[] = {{"logistic", SV_LOSS_LOGISTIC}, {"softmax", SV_LOSS_SOFTMAX}, {"squared", SV_LOSS_SQUARED}, {"poisson", SV_LOSS_POISSON}, {NULL, 0}};

static int find(const word *words, const char *name, int *value)
{
    for (; words->name; words++)
        if (!strcmp(words->name, name)) {
            *value = words->value;
            return 0;
        }
    return -1;
}

/* One key=value. */
static int set(settings *s, const char *argument)
{
    const char *value = strchr(argument, '=');
    size_t length = value ? (size_t)(value++ - argument) : 0;
    int choice = 0;
    struct { const char *key; double *number; size_t *count; int64_t *whole; int *flag; } keys[] = {
        {"c", &s->solver.c, NULL, NULL, NULL}, {"l1", &s->solver.l1, NULL, NULL, NULL}, {"l2", &s->solver.l2, NULL, NULL, NULL}, {"tolerance", &s->solver.tolerance, NULL, NULL, NULL},
        {"rate", &s->solver.learning_rate, NULL, NULL, NULL}, {"momentum", &s->solver.momentum, NULL, NULL, NULL}, {"threads", NULL, &s->threads, NULL, NULL}, {"classes", NULL, &s->classes, NULL, NULL},
        {"repeats", NULL, &s->repeats, NULL, NULL}, {"max_iter", NULL, NULL, &s->solver.max_iter, NULL}, {"batch", NULL, NULL, &s->solver.batch_size, NULL}, {"every", NULL, NULL, &s->solver.checkpoint_every, NULL},
        {"keep_first", NULL, NULL, NULL, &s->keep_first}, {"trace", NULL, NULL, NULL, &s->trace}};
    if (!value) return -1;
    if (!strncmp(argument, "weights=", 8)) s->weights = value;
    else if (!strncmp(argument, "errors=", 7)) s->errors = value;
    else if (!strncmp(argument, "checkpoint=", 11)) s->solver.checkpoint = value;
    else if (!strncmp(argument, "resume=", 7)) s->solver.resume = value;
    else if (!strncmp(argument, "solver=", 7)) choice = find(solvers, value, (int *)&s->solver.solver);
    else if (!strncmp(argument, "loss=", 5)) choice = find(losses, value, (int *)&s->loss);
    else {
        choice = -1;
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
            if (strlen(keys[i].key) != length || strncmp(keys[i].key, argument, length) != 0) continue;
            choice = 0;
            if (keys[i].number) *keys[i].number = atof(value);
            if (keys[i].count) *keys[i].count = (size_t)atol(value);
            if (keys[i].whole) *keys[i].whole = atol(value);
            if (keys[i].flag) *keys[i].flag = atoi(value);
        }
    }
    return choice;
}

static int trace(void *context, const sv_fit_step *step)
{
    fprintf(stderr, "%3lld  f/n %.15g  |g| %.3g  step %g  %.3f ms\n", (long long)step->iteration, step->loss, step->gradient_norm, step->step, (double)(sv_monotonic_ns() - *(int64_t *)context) / 1e6);
    return 0;
}

static int fit_once(const table *t, settings *how, sv_team *team, double *seconds, sv_solution *solution, size_t *n_weights, sv_error *error)
{
    sv_design *design = NULL;
    int64_t start = sv_monotonic_ns();
    if (how->trace) {
        how->solver.watch = trace;
        how->solver.watch_context = &start;
    }
    int rc = build(&design, t, how, team, error);
    if (!rc) rc = sv_solve(solution, design, how->loss, &how->solver, team, NULL, error);
    *seconds = (double)(sv_monotonic_ns() - start) / 1e9;
    if (!rc && how->errors) {
        double *errors = sv_array(design->n_weights, sizeof *errors), degrees;
        rc = errors ? sv_standard_errors(errors, &degrees, design, how->loss, solution->weights, team, error) : SV_E_MEMORY;
        if (!rc) rc = sv_file_write(how->errors, errors, design->n_weights * sizeof *errors, error);
        sv_free(errors);
    }
    if (!rc) *n_weights = design->n_weights * (how->loss == SV_LOSS_SOFTMAX ? how->classes : 1);
    sv_design_free(design);
    return rc;
}

/* This program's largest resident size so far, not its parent's, with which getrusage begins. */
static double peak_mb(void)
{
    char line[256];
    double kb = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, "VmHWM:", 6)) kb = strtod(line + 6, NULL);
    if (status) fclose(status);
    return kb / 1024;
}

int main(int argc, char **argv)
{
    static table t;
    settings how = {.solver = {.c = 1, .l2 = 1, .tolerance = 1e-8, .max_iter = 1000, .step = SV_STEP_BACKTRACKING}, .classes = 2, .repeats = 1};
    sv_error error = SV_ERROR_INIT;
    sv_team *team = NULL;
    double best = 1e300, seconds;
    size_t n_weights = 0;
    for (int i = 2; i < argc; i++)
        if (set(&how, argv[i])) sv_error_set(&error, SV_E_CONFIG, "not understood: %s", argv[i]);
    sv_ranks_join(&error);
    if (argc < 2 || error.code || load(&t, argv[1], &error) || sv_team_new(&team, how.threads, &error)) {
        fprintf(stderr, "fit_columns FOLDER [key=value]...\n%s\n", error.message);
        return 2;
    }
    for (size_t repeat = 0; repeat < how.repeats; repeat++) {
        sv_solution solution = {0};
        int rc = fit_once(&t, &how, team, &seconds, &solution, &n_weights, &error);
        if (!rc && how.weights && sv_ranks_rank() == 0) rc = sv_file_write(how.weights, solution.weights, n_weights * sizeof(double), &error);
        if (rc) {
            fprintf(stderr, "%s\n", error.message);
            sv_ranks_leave(rc);
            return 1;
        }
        best = seconds < best ? seconds : best;
        if (repeat + 1 == how.repeats && sv_ranks_rank() == 0)
            printf("{\"seconds\": %.6f, \"objective\": %.17g, \"iterations\": %lld, \"passes\": %zu, \"products\": %zu, \"gradient_norm\": %.3g, \"duality_gap\": %.6g, \"converged\": %d, \"solver\": \"%s\", \"rows\": %zu, \"weights\": %zu, \"peak_mb\": %.1f}\n",
                   best, solution.objective, (long long)solution.iterations, solution.passes, solution.products, solution.gradient_norm, isnan(solution.duality_gap) ? -1 : solution.duality_gap,
                   solution.converged, solution.solver, t.n_rows, n_weights, peak_mb());
        sv_solution_free(&solution);
    }
    sv_ranks_leave(0);
    sv_team_free(team);
    for (size_t c = 0; c < t.n_columns; c++)
        sv_free(t.columns[c].data);
    return 0;
}
