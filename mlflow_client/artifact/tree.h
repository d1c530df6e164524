/* tree.h: whole folders to and from a store. */
#ifndef MLF_TREE_H
#define MLF_TREE_H

#include "store.h"

#define MLF_TREE_MAX_FILES 100000
#define MLF_TREE_MAX_DEPTH 64

/* One file of a tree. */
typedef struct mlf_leaf {
    char *path; /* relative to the tree's root */
    int64_t size_bytes; /* -1: not said */
} mlf_leaf;

typedef struct mlf_leaves {
    mlf_leaf *items; /* (count) sorted by path */
    size_t count, capacity;
} mlf_leaves;

void mlf_leaves_free(mlf_leaves *leaves); /* the items, not the struct */

/* Every file below path of the store. A name that would leave its folder: MLF_E_REPLY; too many or too deep: MLF_E_REPLY. */
int mlf_tree_walk(mlf_leaves *out, mlf_store *store, const char *path, mlf_error *error);
int mlf_tree_walk_folder(mlf_leaves *out, const char *folder, mlf_error *error); /* the same of a folder of this machine */

/* Everything below the store's root (or the one file that it is) into folder, made when missing. All or nothing becomes visible. */
int mlf_tree_download(mlf_store *store, const char *folder, unsigned threads, mlf_error *error);

/* A file, or everything below a folder, to path of the store ("" is its root; a file keeps its name); all but the relative path `except` (may be NULL). */
int mlf_tree_upload(mlf_store *store, const char *local_path, const char *path, const char *except, unsigned threads, mlf_error *error);

#endif
