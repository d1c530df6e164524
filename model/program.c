/* program.c: building a program and giving it registers. Running it is program_run.c. */
#include "program.h"

#include "alloc.h"
#include "prng.h"

#include <string.h>

enum { N_BUCKETS = 1024, LIST_MAX = 1 << 20 };

int sv_program_init(sv_program *program)
{
    *program = (sv_program){.buckets = sv_array(N_BUCKETS, sizeof(int))};
    if (!program->buckets)
        return SV_E_MEMORY;
    for (int i = 0; i < N_BUCKETS; i++)
        program->buckets[i] = -1;
    return 0;
}

void sv_program_free(sv_program *program)
{
    for (size_t i = 0; i < program->n_steps; i++)
        sv_free(program->steps[i].table);
    sv_free(program->steps);
    sv_free(program->list);
    sv_free(program->buckets);
    sv_free(program->next);
    *program = (sv_program){0};
}

static uint64_t bits(double number)
{
    uint64_t word;
    memcpy(&word, &number, sizeof word);
    return word;
}

static uint64_t hash_step(const sv_program *program, const sv_step *step)
{
    uint64_t hash = sv_mix64((uint64_t)step->op << 32 ^ (uint64_t)(uint32_t)step->column);
    hash = sv_mix64(hash ^ ((uint64_t)(uint32_t)step->a << 32 | (uint32_t)step->b));
    hash = sv_mix64(hash ^ (uint32_t)step->c ^ bits(step->number));
    for (size_t i = 0; i < step->n_list; i++)
        hash = sv_mix64(hash ^ bits(program->list[step->list + i]));
    return hash;
}

static int equal(const sv_program *program, const sv_step *x, const sv_step *y)
{
    return x->op == y->op && x->a == y->a && x->b == y->b && x->c == y->c && x->column == y->column && bits(x->number) == bits(y->number) &&
           x->n_list == y->n_list && (!x->n_list || !memcmp(program->list + x->list, program->list + y->list, x->n_list * sizeof(double)));
}

static int reserve_step(sv_program *program)
{
    if (program->n_steps < program->steps_capacity)
        return 0;
    if (program->n_steps >= SV_STEPS_MAX)
        return SV_E_LIMIT;
    size_t capacity = program->steps_capacity ? 2 * program->steps_capacity : 32;
    sv_step *steps = sv_realloc(program->steps, capacity * sizeof *steps);
    if (steps)
        program->steps = steps;
    int *next = steps ? sv_realloc(program->next, capacity * sizeof *next) : NULL;
    if (!next)
        return SV_E_MEMORY;
    program->next = next;
    program->steps_capacity = capacity;
    return 0;
}

/* The step's index: an equal one that is there already, or a new one. */
static int intern(sv_program *program, const sv_step *step)
{
    int *bucket = &program->buckets[hash_step(program, step) % N_BUCKETS];
    for (int i = *bucket; i >= 0; i = program->next[i])
        if (equal(program, &program->steps[i], step))
            return i;
    int code = reserve_step(program);
    if (code)
        return code;
    int index = (int)program->n_steps++;
    program->steps[index] = *step;
    program->next[index] = *bucket;
    *bucket = index;
    return index;
}

int sv_program_column(sv_program *program, int column)
{
    return intern(program, &(sv_step){.op = SV_STEP_COLUMN, .a = -1, .b = -1, .c = -1, .column = column, .slot = -1});
}

int sv_program_constant(sv_program *program, double number)
{
    if (number != number)
        number = __builtin_nan(""); // one missing number, whatever made it
    return intern(program, &(sv_step){.op = SV_STEP_CONSTANT, .a = -1, .b = -1, .c = -1, .column = -1, .number = number, .slot = -1});
}

int sv_program_text(sv_program *program, int32_t code)
{
    return intern(program, &(sv_step){.op = SV_STEP_TEXT, .a = -1, .b = -1, .c = -1, .column = -1, .number = code, .slot = -1});
}

int sv_step_is_constant(sv_step_op op)
{
    return op == SV_STEP_CONSTANT || op == SV_STEP_TEXT;
}

static int is_constant(const sv_program *program, int step)
{
    return step < 0 || sv_step_is_constant(program->steps[step].op);
}

/* A register of one row. */
typedef union cell {
    double number;
    int32_t code;
} cell;

/* Computes a step whose operands are constants, by the code that computes blocks. */
static int fold(sv_program *program, const sv_step *step)
{
    cell in[3] = {{0}}, out = {0};
    sv_step steps[4] = {0};
    int operands[3] = {step->a, step->b, step->c};
    for (int i = 0; i < 3; i++) {
        steps[i].op = SV_STEP_CONSTANT;
        const sv_step *operand = operands[i] >= 0 ? &program->steps[operands[i]] : NULL;
        if (operand && operand->op == SV_STEP_TEXT)
            in[i].code = (int32_t)operand->number;
        else if (operand)
            in[i].number = operand->number;
    }
    steps[3] = *step;
    steps[3].a = 0, steps[3].b = 1, steps[3].c = 2;
    void *at[4] = {&in[0], &in[1], &in[2], &out};
    sv_program_run(&(sv_program){.steps = steps, .n_steps = 4, .list = program->list}, at, 1);
    return step->op == SV_STEP_CHOOSE_TEXT ? sv_program_text(program, out.code) : sv_program_constant(program, out.number);
}

/* Is the constant text among the list's? */
static int fold_in(sv_program *program, const sv_step *step)
{
    int found = 0;
    for (size_t i = 0; i < step->n_list; i++)
        found |= program->list[step->list + i] == program->steps[step->a].number;
    return sv_program_constant(program, found);
}

static int add_step(sv_program *program, const sv_step *step)
{
    if (step->op == SV_STEP_IN && is_constant(program, step->a))
        return fold_in(program, step);
    if (is_constant(program, step->a) && is_constant(program, step->b) && is_constant(program, step->c))
        return fold(program, step);
    return intern(program, step);
}

static int n_operands(sv_step_op op)
{
    return op == SV_STEP_WHERE || op == SV_STEP_CHOOSE_TEXT ? 3 : op <= SV_STEP_OR ? 2 : 1;
}

int sv_program_step(sv_program *program, sv_step_op op, int a, int b, int c)
{
    int n = n_operands(op);
    if (a < 0 || (n > 1 && b < 0) || (n > 2 && c < 0))
        return a < 0 ? a : n > 1 && b < 0 ? b : c;
    return add_step(program, &(sv_step){.op = op, .a = a, .b = n > 1 ? b : -1, .c = n > 2 ? c : -1, .column = -1, .slot = -1});
}

int sv_program_list_step(sv_program *program, sv_step_op op, int a, const double *list, size_t n_list)
{
    if (a < 0)
        return a;
    if (n_list > LIST_MAX - program->n_list)
        return SV_E_LIMIT;
    if (program->n_list + n_list > program->list_capacity) {
        size_t capacity = 2 * program->list_capacity + n_list;
        double *grown = sv_realloc(program->list, capacity * sizeof *grown);
        if (!grown)
            return SV_E_MEMORY;
        program->list = grown;
        program->list_capacity = capacity;
    }
    memcpy(program->list + program->n_list, list, n_list * sizeof *list);
    sv_step step = {.op = op, .a = a, .b = -1, .c = -1, .column = -1, .list = program->n_list, .n_list = n_list, .slot = -1};
    size_t before = program->n_steps;
    int index = add_step(program, &step);
    if (program->n_steps > before && index >= 0 && program->steps[index].op == op)
        program->n_list += n_list; // an equal step keeps its own list
    return index;
}

static int number(sv_program *p, double value)
{
    return sv_program_constant(p, value);
}

static int add(sv_program *p, int a, int b)
{
    return sv_program_step(p, SV_STEP_ADD, a, b, -1);
}

static int subtract(sv_program *p, int a, int b)
{
    return sv_program_step(p, SV_STEP_SUB, a, b, -1);
}

static int multiply(sv_program *p, double a, int b)
{
    return sv_program_step(p, SV_STEP_MUL, number(p, a), b, -1);
}

/* floor(a / b) */
static int quotient(sv_program *p, int a, double b)
{
    return sv_program_step(p, SV_STEP_FLOOR, sv_program_step(p, SV_STEP_DIV, a, number(p, b), -1), -1, -1);
}

/* Howard Hinnant's "chrono-compatible low-level date algorithms" (2014), in doubles: eras of 400 years that begin on the first of March. One step a
   line: the order of steps must not depend on the compiler's order of arguments. */
int sv_program_month(sv_program *p, int days)
{
    int z = add(p, days, number(p, 719468));
    int era = quotient(p, z, 146097);
    int day = subtract(p, z, multiply(p, 146097, era));
    int year = subtract(p, day, quotient(p, day, 1460));
    year = add(p, year, quotient(p, day, 36524));
    year = subtract(p, year, quotient(p, day, 146096));
    year = quotient(p, year, 365);
    day = subtract(p, day, multiply(p, 365, year));
    day = subtract(p, day, quotient(p, year, 4));
    day = add(p, day, quotient(p, year, 100));
    int from_march = multiply(p, 5, day);
    from_march = add(p, from_march, number(p, 2));
    from_march = quotient(p, from_march, 153);
    int wraps = sv_program_step(p, SV_STEP_LE, number(p, 10), from_march, -1);
    int month = add(p, from_march, number(p, 3));
    return subtract(p, month, multiply(p, 12, wraps));
}

int sv_program_weekday(sv_program *p, int days)
{
    int from_monday = add(p, days, number(p, 3)); // 1970-01-01 was a Thursday
    return subtract(p, from_monday, multiply(p, 7, quotient(p, from_monday, 7)));
}

static int make_table(sv_program *program, sv_step *step, sv_levels *const *levels, const sv_levels *texts)
{
    int column = program->steps[step->a].column;
    step->n_table = (uint32_t)sv_levels_count(column >= 0 ? levels[column] : texts);
    step->table = sv_calloc(step->n_table + 1u, 1);
    if (!step->table)
        return SV_E_MEMORY;
    for (size_t i = 0; i < step->n_list; i++)
        step->table[(size_t)program->list[step->list + i] + 1] = 1;
    return 0;
}

/* last[i]: the last step that reads step i; n_steps for a result. */
static void find_last_uses(const sv_program *program, const int *results, size_t n, int *last)
{
    for (size_t i = 0; i < program->n_steps; i++) {
        const sv_step *step = &program->steps[i];
        last[i] = (int)i;
        for (int k = 0; k < 3; k++) {
            int operand = (const int[]){step->a, step->b, step->c}[k];
            if (operand >= 0)
                last[operand] = (int)i;
        }
    }
    for (size_t i = 0; i < n; i++)
        last[results[i]] = (int)program->n_steps;
}

/* A step gets its register before its operands' are given back: input and output never overlap. */
static void assign_slots(sv_program *program, const int *last, int *unused, int n_unused)
{
    for (size_t i = 0; i < program->n_steps; i++) {
        sv_step *step = &program->steps[i];
        if (step->op != SV_STEP_COLUMN && !sv_step_is_constant(step->op))
            step->slot = n_unused ? unused[--n_unused] : program->n_slots++;
        for (int k = 0; k < 3; k++) {
            int operand = (const int[]){step->a, step->b, step->c}[k];
            int again = (k > 0 && operand == step->a) || (k > 1 && operand == step->b);
            if (operand >= 0 && !again && last[operand] == (int)i && program->steps[operand].slot >= 0)
                unused[n_unused++] = program->steps[operand].slot;
        }
    }
}

int sv_program_finish(sv_program *program, const int *results, size_t n, sv_levels *const *levels, const sv_levels *texts)
{
    int *last = sv_array(2 * program->n_steps, sizeof *last), code = last ? 0 : SV_E_MEMORY;
    if (last) {
        find_last_uses(program, results, n, last);
        assign_slots(program, last, last + program->n_steps, 0);
    }
    for (size_t i = 0; !code && i < program->n_steps; i++)
        if (program->steps[i].op == SV_STEP_IN)
            code = make_table(program, &program->steps[i], levels, texts);
    sv_free(last);
    return code;
}
