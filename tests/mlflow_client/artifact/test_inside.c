#include "file.h"
#include "inside.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];
static int root_fd;

static void set_up(void)
{
    strcpy(root, "/tmp/test-inside-XXXXXX");
    cr_assert(mkdtemp(root));
    cr_assert_eq(chdir(root), 0);
    cr_assert_eq(mlf_inside_root(&root_fd, "a/b", NULL), 0);
}

static void tear_down(void)
{
    close(root_fd);
    cr_assert_eq(chdir("/"), 0);
    cr_assert_eq(sv_folder_remove(root, NULL), 0);
}

TestSuite(inside, .init = set_up, .fini = tear_down);

static int put(const char *relative)
{
    mlf_incoming incoming;
    int code = mlf_inside_create(&incoming, root_fd, relative, NULL);
    if (!code)
        code = mlf_inside_write(&incoming, "x", 1, NULL);
    if (!code)
        code = mlf_inside_commit(&incoming, NULL);
    mlf_inside_abort(&incoming);
    return code;
}

Test(inside, a_file_appears_whole_with_its_folders)
{
    cr_assert_eq(put("c/d/file"), 0);
    cr_assert_eq(access("a/b/c/d/file", F_OK), 0);
    cr_assert_eq(put("c/d/file"), 0); /* again */
}

Test(inside, an_abort_leaves_nothing)
{
    mlf_incoming incoming;
    cr_assert_eq(mlf_inside_create(&incoming, root_fd, "file", NULL), 0);
    mlf_inside_abort(&incoming);
    cr_assert_eq(rmdir("a/b"), 0, "the folder is not empty");
}

Test(inside, paths_that_leave_are_refused)
{
    static const char *const bad[] = {"../x", "/x", "a/../../x", ".", "..", "", "a//b", "a/", "a\nb"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(put(bad[i]), MLF_E_ARGUMENT, "%s", bad[i]);
}

Test(inside, links_are_not_followed)
{
    cr_assert_eq(mkdir("elsewhere", 0777), 0);
    cr_assert_eq(symlink("../../elsewhere", "a/b/link"), 0);
    cr_assert_eq(symlink("../../elsewhere/target", "a/b/file"), 0);
    cr_assert_eq(put("link/x"), MLF_E_IO);
    cr_assert_eq(put("file"), 0); /* the link itself is replaced */
    cr_assert_eq(rmdir("elsewhere"), 0, "something was written through a link");
}

Test(inside, a_file_moves_between_roots)
{
    int other;
    cr_assert_eq(mlf_inside_root(&other, "other", NULL), 0);
    cr_assert_eq(put("c/file"), 0);
    cr_assert_eq(mlf_inside_move(root_fd, other, "c/file", NULL), 0);
    cr_assert_eq(access("other/c/file", F_OK), 0);
    cr_assert_neq(access("a/b/c/file", F_OK), 0);
    close(other);
}
