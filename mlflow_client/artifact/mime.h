/* mime.h: the Content-Type of an artifact by its name, as the Python client says it. */
#ifndef MLF_MIME_H
#define MLF_MIME_H

const char *mlf_mime_type(const char *path); /* static; application/octet-stream when nothing is known */

#endif
