/* solver.c: chooses a solver, gives it a start, takes the certificate of what it returns. */
#include "solver.h"

#include "alloc.h"
#include "ranks.h"
#include "search.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_DENSE = 2048,  /* weights of one score for which a Hessian is formed */
    MAX_JOINED = 512,  /* weights of all classes together for which auto forms one of all: its products grow with the square of the classes */
    MAX_NEWTON = 4096  /* … and for which it is formed when asked for */
};

typedef struct solver_method {
    sv_solver solver;
    const char *name;
    int (*run)(sv_search *search, sv_error *error);
    int does_l1;
} solver_method;

static const solver_method methods[] = {
    {SV_SOLVER_GD, "gd", sv_gradient_descent, 0},
    {SV_SOLVER_NESTEROV, "nesterov", sv_nesterov, 0},
    {SV_SOLVER_SGD, "sgd", sv_stochastic, 0},
    {SV_SOLVER_ADAM, "adam", sv_stochastic, 0},
    {SV_SOLVER_LBFGS, "lbfgs", sv_lbfgs, 0},
    {SV_SOLVER_NEWTON, "newton", sv_newton, 0},
    {SV_SOLVER_CD, "cd", sv_coordinate_descent, 1},
};

static const solver_method *find(sv_solver solver)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (methods[i].solver == solver) return &methods[i];
    return NULL;
}

/* By shape: l1 needs coordinate descent; a Hessian that fits makes Newton best for few rows, L-BFGS preconditioned by a sample's Hessian for many. */
static const solver_method *choose(sv_search *search, const sv_design *design, int *sample, char *why, size_t size)
{
    size_t p = search->n_weights, n_train;
    *sample = 0;
    sv_design_total_weight(design, &n_train);
    if (search->options->l1 > 0) {
        snprintf(why, size, "an l1 penalty: coordinate descent on the Newton model");
        return find(SV_SOLVER_CD);
    }
    if (p > MAX_DENSE) {
        snprintf(why, size, "%zu weights, too many for a Hessian: l-bfgs preconditioned by the diagonal", p);
        return find(SV_SOLVER_LBFGS);
    }
    if ((search->n_scores == 1 || search->n <= MAX_JOINED) && design->n_rows < 16384 + 48 * search->n) {
        snprintf(why, size, "%zu weights and only %zu training rows: newton", search->n, n_train);
        return find(SV_SOLVER_NEWTON);
    }
    *sample = 1;
    snprintf(why, size, "%zu weights, %zu training rows: l-bfgs preconditioned by the Hessian of a sample", p, n_train);
    return find(SV_SOLVER_LBFGS);
}

static int open_search(sv_search *search, const sv_design *design, sv_loss loss, const sv_solver_options *options, sv_team *team, const sv_share *share, sv_error *error)
{
    *search = (sv_search){.options = options, .team = team, .weight_error = NAN, .duality_gap = NAN};
    int rc = sv_objective_new(&search->objective, design, loss, options->c, options->l2, team, share, error);
    if (rc) return rc;
    search->n_scores = sv_objective_scores(search->objective);
    search->n_weights = sv_objective_weights(search->objective);
    search->n_blocks = sv_objective_blocks(search->objective);
    search->n = sv_objective_size(search->objective);
    search->total = sv_objective_total(search->objective);
    if (!(search->total > 0)) return sv_error_set(error, SV_E_INPUT, "training: no row has a weight above 0");
    search->w = sv_search_array(search->n);
    search->gradient = sv_search_array(search->n);
    if (!search->w || !search->gradient) return sv_error_set(error, SV_E_MEMORY, "training: out of memory for %zu weights", search->n);
    if (options->patience <= 0 || !options->validation) return 0;
    search->best_w = sv_search_array(search->n);
    if (!search->best_w) return sv_error_set(error, SV_E_MEMORY, "training: out of memory for %zu weights", search->n);
    sv_search_keep(search, search->best_w, search->n);
    sv_search_keep(search, &search->best_validation, 1);
    sv_search_keep(search, &search->since_best, 1);
    return sv_objective_new(&search->validation, options->validation, loss, 1, 0, team, share, error);
}

static void close_search(sv_search *search)
{
    sv_objective_free(search->objective);
    sv_objective_free(search->validation);
    sv_free(search->w);
    sv_free(search->gradient);
    sv_free(search->factor);
    sv_free(search->diagonal);
    sv_free(search->best_w);
}

static int check(const solver_method *method, const sv_search *search, sv_error *error)
{
    if (search->options->l1 > 0 && !method->does_l1) {
        sv_error_set(error, SV_E_CONFIG, "train.solver: %s cannot do an l1 penalty", method->name);
        sv_error_hint(error, "use auto or cd, or penalty l2");
        return SV_E_CONFIG;
    }
    if (method->solver == SV_SOLVER_NEWTON && search->n > MAX_NEWTON) {
        sv_error_set(error, SV_E_LIMIT, "train.solver: newton forms a Hessian: expected at most %d weights, got %zu", MAX_NEWTON, search->n);
        sv_error_hint(error, "use auto or lbfgs");
        return SV_E_LIMIT;
    }
    return 0;
}

/* Newton's steps need what the classes have in common; the sample's Hessian is better for it, where that is cheap. */
static int join_scores(sv_search *search, const solver_method *method, int sample, sv_error *error)
{
    int wanted = search->n_scores > 1 && (method->solver == SV_SOLVER_NEWTON || (sample && search->n <= MAX_JOINED));
    int rc = wanted ? sv_objective_join_scores(search->objective, error) : 0;
    search->n_blocks = sv_objective_blocks(search->objective);
    return rc;
}

/* Hands over what the search found; after early stopping the weights that were best on the validation rows. */
static int finish(sv_solution *out, sv_search *search, const solver_method *method, sv_error *error)
{
    if (search->validation && search->since_best > 0) {
        memcpy(search->w, search->best_w, search->n * sizeof *search->w);
        int rc = sv_objective_value(search->objective, search->w, &search->value, search->gradient, NULL, error);
        if (rc) return rc;
        search->value += search->options->l1 * sv_search_absolute_sum(search, search->w);
        search->duality_gap = NAN; /* it was the last weights' */
    }
    out->converged = sv_search_converged(search);
    out->objective = search->value;
    out->loss = search->value / search->total;
    out->gradient_norm = sv_search_gradient_norm(search);
    out->weight_error = search->weight_error;
    out->duality_gap = search->duality_gap;
    out->iterations = search->iteration;
    out->passes = sv_objective_passes(search->objective);
    out->products = search->sampled + sv_objective_products(search->objective);
    out->solver = method->name;
    out->weights = search->w;
    search->w = NULL;
    return 0;
}

int sv_solve(sv_solution *out, const sv_design *design, sv_loss loss, const sv_solver_options *options, sv_team *team, const sv_share *share, sv_error *error)
{
    sv_search search;
    int sample = 0;
    const solver_method *method = NULL;
    *out = (sv_solution){.duality_gap = NAN, .weight_error = NAN};
    if (!share) share = sv_ranks_share();
    int rc = open_search(&search, design, loss, options, team, share, error);
    if (!rc) {
        method = options->solver == SV_SOLVER_AUTO ? choose(&search, design, &sample, out->why, sizeof out->why) : find(options->solver);
        rc = check(method, &search, error);
    }
    if (!rc && (options->checkpoint || options->resume)) rc = sv_fingerprint_take(search.fingerprint, design, loss, method->solver, options, team, error);
    if (!rc) rc = join_scores(&search, method, sample, error);
    if (!rc && sample) rc = sv_sample_start(&search, error);
    if (!rc) rc = method->run(&search, error);
    if (!rc) rc = finish(out, &search, method, error);
    close_search(&search);
    return rc;
}

void sv_solution_free(sv_solution *solution)
{
    if (solution) sv_free(solution->weights);
}
