/* xml.h: the few things S3 and STS say in XML: text inside elements, one after another. Left out: attributes, namespaces, DTDs (refused), CDATA. */
#ifndef MLF_XML_H
#define MLF_XML_H

#include <stddef.h>

/* A place in an XML text. */
typedef struct mlf_xml {
    const char *at, *end;
} mlf_xml;

typedef enum mlf_xml_event { MLF_XML_OPEN, MLF_XML_CLOSE, MLF_XML_TEXT, MLF_XML_END, MLF_XML_BROKEN } mlf_xml_event;

/* The next event; name or text, borrowed from the input, undecoded. Comments and the prologue are passed over; an empty element is an OPEN and a CLOSE
   by *empty = 1 at its OPEN. */
mlf_xml_event mlf_xml_next(mlf_xml *xml, const char **text, size_t *length, int *empty);

/* text[0..length) with its entities decoded; the caller's (sv_free); NULL when it holds a broken one or memory is out. */
char *mlf_xml_decode(const char *text, size_t length);

/* The decoded text of the first element of that name, wherever it stands; the caller's; NULL when there is none. */
char *mlf_xml_find(const char *text, size_t length, const char *name);

#endif
