/* iterator.h: pages of a search, fetched as they are wanted. */
#ifndef MLF_ITERATOR_H
#define MLF_ITERATOR_H

#include "endpoints.h"
#include "mlflow_client.h"

#include <jansson.h>

/* arguments is stolen, also on failure (NULL: MLF_E_ARGUMENT). list: the answer's list; NULL: as the table says. page_size is put in as "max_results" when
   the endpoint takes one and arguments has none. */
int mlf_iterator_new(mlf_iterator **out, mlf_client *client, const mlf_endpoint *endpoint, json_t *arguments, int page_size, mlf_error *error);

/* filter, order_by, experiment_ids and the view of a query (may be NULL), as arguments; new reference, NULL when a text is no UTF-8 or memory is out. */
json_t *mlf_query_arguments(const mlf_query *query, const char *view_field, int with_experiments);

#endif
