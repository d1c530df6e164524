/* package_mlmodel.h: the file MLmodel, written and, as far as needed, read. Private to model/. */
#ifndef SV_PACKAGE_MLMODEL_H
#define SV_PACKAGE_MLMODEL_H

#include "package.h"

#define SV_SHA256_TEXT 65 /* hexadecimal digits and NUL */
/* Of the files of sv_package_files, in that order. */
typedef char sv_digests[SV_PACKAGE_FILES][SV_SHA256_TEXT];

/* size: bytes of the other files. */
int sv_mlmodel_write(sv_buffer *yaml, const sv_pipeline *pipeline, const sv_package_options *options, const char (*digests)[SV_SHA256_TEXT], size_t size);

/* The digest that MLmodel states for a file of the package: the caller's, or NULL when it states none or memory is out. */
char *sv_mlmodel_digest(const char *yaml, size_t length, const char *name);

/* The scalar of a top-level key ("run_id"), or of one below `parent` ("metadata", "pipeline_sha256"), of a file that sv_mlmodel_write or MLflow wrote:
   block style, plain or quoted. The caller's, or NULL when it is absent or memory is out. */
char *sv_mlmodel_get(const char *yaml, size_t length, const char *parent, const char *key);

#endif
