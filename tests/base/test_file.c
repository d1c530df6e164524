#include "alloc.h"
#include "file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder(void)
{
    static char name[64];
    snprintf(name, sizeof name, "/tmp/sv_file_XXXXXX");
    return mkdtemp(name);
}

Test(file, written_whole_and_read_back)
{
    char *at = folder(), *path = sv_path_join(at, "a");
    cr_assert_eq(sv_file_write(path, "x\0y", 3, NULL), SV_OK);
    sv_buffer b = SV_BUFFER_INIT(3);
    cr_assert_eq(sv_file_read(&b, path, 3, NULL), SV_OK);
    cr_assert(b.size == 3 && b.data[2] == 'y');
    sv_buffer_free(&b);
    sv_error e = SV_ERROR_INIT;
    cr_assert_eq(sv_file_read(&b, path, 2, &e), SV_E_LIMIT);
    cr_assert_eq(b.size, 0);
    sv_buffer_free(&b);
    sv_free(path);
    cr_assert_eq(sv_folder_remove(at, NULL), SV_OK);
}

Test(file, a_missing_file_and_a_folder_are_told_apart)
{
    sv_buffer b = SV_BUFFER_INIT(0);
    sv_error e = SV_ERROR_INIT;
    cr_assert_eq(sv_file_read(&b, "/nowhere/at/all", 0, &e), SV_E_IO);
    cr_assert(strstr(e.message, "No such file"));
    sv_error_clear(&e);
    cr_assert_eq(sv_file_read(&b, "/tmp", 0, &e), SV_E_IO);
    cr_assert(strstr(e.message, "got a folder"));
    sv_buffer_free(&b);
}

Test(file, a_failed_write_leaves_the_old_file_and_no_temporary)
{
    char *at = folder(), *path = sv_path_join(at, "missing/a");
    cr_assert_eq(sv_file_write(path, "x", 1, NULL), SV_E_IO);
    cr_assert_eq(rmdir(at), 0, "something was left behind");
    sv_free(path);
}

Test(file, removal_does_not_follow_links)
{
    char *at = folder(), *inner = sv_path_join(at, "a/b/c"), *link_path = sv_path_join(at, "a/link");
    cr_assert_eq(sv_folder_make(inner, NULL), SV_OK);
    char other[] = "/tmp/sv_keep_XXXXXX";
    cr_assert(mkdtemp(other));
    cr_assert_eq(symlink(other, link_path), 0);
    cr_assert_eq(sv_folder_remove(at, NULL), SV_OK);
    struct stat about;
    cr_assert_eq(stat(other, &about), 0);
    cr_assert_neq(stat(at, &about), 0);
    rmdir(other);
    sv_free(inner);
    sv_free(link_path);
}

Test(file, paths_that_leave_their_folder)
{
    static const char *const inside[] = {"a", "a/b", "a.b/..c", "code/native_tabular_v1.py"};
    static const char *const outside[] = {"", "/a", "..", "a/../b", "a//b", "a/", "./a", "a\\b", "a\nb"};
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
        cr_expect(sv_path_is_inside(inside[i]), "%s", inside[i]);
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        cr_expect(!sv_path_is_inside(outside[i]), "%s", outside[i]);
}
