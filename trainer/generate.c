#include "generate.h"
#include "alloc.h"
#include "prng.h"

#include <math.h>
#include <string.h>

enum { MONTHS_OF_CUSTOMER = 24, FIRST_YEAR = 2023, PIECE = 1 << 16, LONGEST_ROW = 256 };

static const struct {
    const char *name;
    double weight;        /* in z */
    double income;        /* median, a month */
    double variation;     /* of the monthly income, standard deviation of the logarithm */
    double until;         /* cumulated share of customers */
} employments[] = {
    {"salaried", 0.6, 2600, 0.03, 0.55},   {"self_employed", 0.0, 2900, 0.35, 0.70}, {"student", -0.4, 900, 0.20, 0.80},
    {"retired", 0.3, 1700, 0.01, 0.94},    {"unemployed", -0.9, 950, 0.10, 1.00},
};

static const struct {
    const char *name;
    double weight;   /* of the month that follows, in z */
    double spending; /* factor */
} seasons[12] = {
    {"jan", 0.1, 1.02},  {"feb", 0.2, 0.95},  {"mar", 0.5, 0.98},  {"apr", 0.1, 1.00},  {"may", 0.0, 1.00},  {"jun", -0.4, 1.03},
    {"jul", -0.3, 1.12}, {"aug", 0.1, 1.10},  {"sep", 0.2, 0.99},  {"oct", 0.0, 0.98},  {"nov", -0.7, 1.05}, {"dec", -0.3, 1.25},
};

static const char *const regions[] = {"north", "south", "east", "west", "capital"};

static const char header[] = "customer,month,season,age,region,employment,loan,income,rent,spending,shock,late_payments,balance,surplus,true_probability\n";

/* Money is whole cents, so that what is computed with is what is written. */
typedef struct customer {
    sv_prng prng;
    int64_t id;
    int month; /* since the first */
    int employment, region, age, loan, late_payments;
    double level, habit;
    int64_t rent, balance;
} customer;

static int64_t cents(double amount)
{
    return (int64_t)llround(amount * 100);
}

static double lognormal(sv_prng *prng, double median, double deviation)
{
    return median * exp(deviation * sv_prng_normal(prng));
}

static void meet_customer(customer *c, int64_t id, uint64_t seed)
{
    *c = (customer){.id = id};
    sv_prng_seed(&c->prng, sv_mix64(seed) ^ sv_mix64((uint64_t)id));
    double share = sv_prng_uniform(&c->prng);
    while (share >= employments[c->employment].until)
        c->employment++;
    c->region = (int)sv_prng_below(&c->prng, sizeof regions / sizeof *regions);
    const char *name = employments[c->employment].name;
    int youngest = !strcmp(name, "retired") ? 60 : 18, span = !strcmp(name, "student") ? 12 : !strcmp(name, "retired") ? 30 : 47;
    c->age = youngest + (int)sv_prng_below(&c->prng, (uint64_t)span);
    c->loan = sv_prng_uniform(&c->prng) < 0.3;
    c->level = lognormal(&c->prng, employments[c->employment].income, 0.4);
    c->habit = 0.35 + 0.6 * (sv_prng_uniform(&c->prng) + sv_prng_uniform(&c->prng)) / 2;
    c->rent = cents(c->level * (0.15 + 0.2 * sv_prng_uniform(&c->prng)));
    c->balance = cents(c->level * (lognormal(&c->prng, 1.5, 0.8) - 0.7));
}

static char *put_text(char *at, const char *text)
{
    size_t length = strlen(text);
    memcpy(at, text, length);
    at[length] = ',';
    return at + length + 1;
}

static char *put_digits(char *at, uint64_t value, int least)
{
    char digits[20];
    int n = 0;
    while (value || n < least) {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    }
    while (n)
        *at++ = digits[--n];
    return at;
}

static char *put_whole(char *at, int64_t value)
{
    at = put_digits(at, (uint64_t)value, 1);
    *at++ = ',';
    return at;
}

static char *put_money(char *at, int64_t value)
{
    if (value < 0)
        *at++ = '-';
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    at = put_digits(at, size / 100, 1);
    *at++ = '.';
    at = put_digits(at, size % 100, 2);
    *at++ = ',';
    return at;
}

static char *put_month(char *at, int months)
{
    at = put_digits(at, (uint64_t)(FIRST_YEAR + months / 12), 4);
    *at++ = '-';
    at = put_digits(at, (uint64_t)(months % 12 + 1), 2);
    memcpy(at, "-01,", 4);
    return at + 4;
}

/* One month of one customer: draws it, writes its row, moves the balance on. */
static char *live_month(customer *c, char *at)
{
    int season = c->month % 12;
    int64_t income = cents(lognormal(&c->prng, c->level, employments[c->employment].variation)) + 1;
    int64_t spending = cents(lognormal(&c->prng, c->level * c->habit * seasons[season].spending, 0.15)) + 1;
    int shocked = sv_prng_uniform(&c->prng) < 0.08;
    int64_t shock = cents(shocked ? lognormal(&c->prng, 0.5 * c->level, 0.7) : 0);
    double earned = (double)income / 100, cushion = (double)(c->balance + 200000) / 100;
    double z = -1.9 + 1.8 * log((double)income / (double)(c->rent + spending)) + 0.25 * log(cushion > 1 ? cushion : 1) - 0.9 * ((double)shock / 100) / earned -
               0.3 * c->late_payments - 0.5 * c->loan + employments[c->employment].weight + seasons[season].weight;
    double probability = 1 / (1 + exp(-z));
    int surplus = sv_prng_uniform(&c->prng) < probability;

    at = put_whole(at, c->id);
    at = put_month(at, c->month);
    at = put_text(at, seasons[season].name);
    at = put_whole(at, c->age + c->month / 12);
    at = put_text(at, regions[c->region]);
    at = put_text(at, employments[c->employment].name);
    at = put_text(at, c->loan ? "yes" : "no");
    at = put_money(at, income);
    at = put_money(at, c->rent);
    at = put_money(at, spending);
    at = put_money(at, shock);
    at = put_whole(at, c->late_payments);
    at = put_money(at, c->balance);
    at = put_whole(at, surplus);
    uint64_t millionths = (uint64_t)llround(probability * 1e6);
    at = put_digits(at, millionths / 1000000, 1);
    *at++ = '.';
    at = put_digits(at, millionths % 1000000, 6);
    *at++ = '\n';

    int64_t moved = cents(lognormal(&c->prng, 0.15 * c->level, 0.8));
    c->balance += surplus ? moved : -moved;
    if (c->balance < 0 && c->late_payments < 6)
        c->late_payments++;
    if (c->month % 3 == 2 && c->late_payments > 0)
        c->late_payments--;
    c->month++;
    return at;
}

int sv_generate(int64_t rows, uint64_t seed, sv_generate_write write, void *context, sv_error *error)
{
    char *piece = sv_malloc(PIECE), *at = piece;
    customer c = {.month = MONTHS_OF_CUSTOMER};
    int code = 0;
    if (!piece)
        return sv_error_set(error, SV_E_MEMORY, "generate: out of memory");
    memcpy(at, header, sizeof header - 1);
    at += sizeof header - 1;
    for (int64_t row = 0; row < rows && !code; row++) {
        if (c.month == MONTHS_OF_CUSTOMER)
            meet_customer(&c, row / MONTHS_OF_CUSTOMER + 1, seed);
        at = live_month(&c, at);
        if (PIECE - (at - piece) < LONGEST_ROW) {
            code = write(context, piece, (size_t)(at - piece), error);
            at = piece;
        }
    }
    if (!code)
        code = write(context, piece, (size_t)(at - piece), error);
    sv_free(piece);
    return code;
}
