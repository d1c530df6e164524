/* generate.h: the cashflow world: customers with incomes, rent, habits, seasons and shocks, month by month, as CSV.

   The process. A customer has a region, an age, an employment, a loan or none, an income level (log-normal about the employment's), a rent (a quarter of it, give or
   take) and a habit: the share of income that is spent. Each month income and spending vary about their level, spending with the season; with probability 0.08 a
   shock, an unexpected cost, comes; a month that closes below zero adds a late payment (at most 6 are remembered, one is forgiven each quarter).
   Whether the *next* month closes higher is drawn with a probability that is logistic in what stands in the row:

       z = -1.9 + 1.8·log(income / (rent + spending)) + 0.25·log(max(balance + 2000, 1)) - 0.9·shock / income
           - 0.3·late_payments - 0.5·(loan = "yes") + employment + season            (the two tables of generate.c)

   and then the balance moves up or down by a log-normal amount. What enters z is rounded to what is written before z is computed, so a logistic model on these
   terms has exactly these coefficients, age and region have none, and the column true_probability is 1 / (1 + exp(-z)) to six places.
   Same seed, same bytes; a smaller number of rows gives the beginning of the larger. */
#ifndef SV_GENERATE_H
#define SV_GENERATE_H

#include "error.h"

#include <stddef.h>
#include <stdint.h>

/* Receives pieces of the file in order; 0, or an sv_code to stop. */
typedef int (*sv_generate_write)(void *context, const char *bytes, size_t length, sv_error *error);

/* The header line and `rows` rows. Returns 0, SV_E_MEMORY, or what write returned. */
int sv_generate(int64_t rows, uint64_t seed, sv_generate_write write, void *context, sv_error *error);

#endif
