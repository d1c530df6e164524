#include "alloc.h"
#include "buffer.h"
#include "error.h"

#include <criterion/criterion.h>

Test(buffer, grows_and_ends_in_nul)
{
    sv_buffer b = SV_BUFFER_INIT(0);
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(sv_buffer_format(&b, "%d,", i), SV_OK);
    cr_assert_eq(strlen(b.data), b.size);
    cr_assert_str_eq(b.data + b.size - 4, "999,");
    sv_buffer_free(&b);
}

Test(buffer, ceiling_leaves_it_as_it_was)
{
    sv_buffer b = SV_BUFFER_INIT(4);
    cr_assert_eq(sv_buffer_text(&b, "abcd"), SV_OK);
    cr_assert_eq(sv_buffer_byte(&b, 'e'), SV_E_LIMIT);
    cr_assert_str_eq(b.data, "abcd");
    sv_buffer_free(&b);
}

Test(buffer, failed_allocation_leaves_it_as_it_was)
{
    sv_buffer b = SV_BUFFER_INIT(0);
    sv_buffer_text(&b, "abc");
    sv_alloc_fail_after(0, 1);
    char big[4096] = {0};
    cr_assert_eq(sv_buffer_append(&b, big, sizeof big), SV_E_MEMORY);
    cr_assert_str_eq(b.data, "abc");
    char *taken = sv_buffer_take(&b);
    cr_assert_str_eq(taken, "abc");
    sv_free(taken);
}
