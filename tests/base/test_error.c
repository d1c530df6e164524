#include "error.h"

#include <criterion/criterion.h>

Test(error, the_first_wins)
{
    sv_error e = SV_ERROR_INIT;
    cr_assert_eq(sv_error_set(&e, SV_E_IO, "one %d", 1), SV_E_IO);
    cr_assert_eq(sv_error_set(&e, SV_E_INPUT, "two"), SV_E_INPUT);
    cr_assert_eq(e.code, SV_E_IO);
    cr_assert_str_eq(e.message, "one 1");
    cr_assert_eq(sv_error_set(NULL, SV_E_INPUT, "nobody listens"), SV_E_INPUT);
}

Test(error, the_outer_layer_adds_what_it_knows)
{
    sv_error e = SV_ERROR_INIT;
    sv_error_prefix(&e, "a.csv: ");
    cr_assert_str_empty(e.message);
    sv_error_set(&e, SV_E_INPUT, "expected a number, got \"x\"");
    sv_error_prefix(&e, "a.csv:%d: ", 7);
    cr_assert_str_eq(e.message, "a.csv:7: expected a number, got \"x\"");
}

Test(error, exit_statuses_are_the_contract)
{
    cr_assert_eq(sv_error_exit_status(SV_OK), 0);
    cr_assert_eq(sv_error_exit_status(SV_E_IO), 1);
    cr_assert_eq(sv_error_exit_status(SV_E_CONFIG), 2);
    cr_assert_eq(sv_error_exit_status(SV_E_INTERRUPTED), 130);
}
