/* service.h: what answers: the models being served, a workspace for each thread, and the handlers' one entry. */
#ifndef SV_SERVICE_H
#define SV_SERVICE_H

#include "arena.h"
#include "frame.h"
#include "guard.h"
#include "http_request.h"
#include "http_reply.h"
#include "ledger.h"
#include "prng.h"
#include "request_metrics.h"
#include "monitor.h"
#include "record_queue.h"
#include "served.h"
#include "shadow.h"
#include "traffic_split.h"
#include "version_stats.h"

#include <stdatomic.h>

#define SV_MODELS_MAX 64
#define SV_WEBHOOKS_SEEN 64

/* A place for a model: the version that answers now, replaced as a whole. */
typedef struct sv_slot {
    char *key;                  /* the name in /models/{name}; unique */
    char *uri;                  /* what is followed */
    _Atomic(sv_served *) current; /* read by workers; replaced by sv_service_swap alone */
} sv_slot;

typedef struct sv_worker {
    _Alignas(64) atomic_ulong rounds; /* odd while a request is being answered: then a version may be in use */
    sv_arena arena;                   /* of one request */
    sv_prng prng;                     /* of request ids */
    char pad[64];
} sv_worker;

/* Between the two a thread may hold what it reads of the places' versions: none is freed meanwhile. Only from the worker's own thread. */
static inline void sv_worker_enter(sv_worker *worker)
{
    atomic_fetch_add(&worker->rounds, 1);
}

static inline void sv_worker_leave(sv_worker *worker)
{
    atomic_fetch_add(&worker->rounds, 1);
}

typedef struct sv_service_options {
    size_t max_rows;   /* of one request */
    size_t max_cells;
    size_t max_arena_bytes;
} sv_service_options;

typedef struct sv_background sv_background;
struct sv_prediction_log;

typedef struct sv_service {
    sv_service_options options;
    unsigned n_workers; /* answering threads, and one each for those behind them */
    sv_worker *workers;
    size_t n_slots;
    sv_slot slots[SV_MODELS_MAX];
    sv_metrics *metrics;
    sv_versions *versions;
    sv_ledger *ledger;         /* owned; NULL: no feedback is taken */
    sv_shadow *shadow;         /* owned; NULL: no challenger */
    sv_split split;
    struct sv_prediction_log *prediction_log; /* borrowed; NULL: none */
    sv_background *background; /* borrowed; NULL: none */
    const sv_serve_config *config; /* borrowed; NULL: defaults */
    const sv_guard *guard;         /* borrowed; NULL: none */
    void (*wake)(void *context);   /* asks the registry now; may be NULL */
    void *wake_context;
    _Atomic uint64_t webhooks[SV_WEBHOOKS_SEEN]; /* a ring of marks of the messages that came last; 0: none yet */
    atomic_uint n_webhooks;
} sv_service;

int sv_service_new(sv_service **out, const sv_service_options *options, unsigned n_workers, sv_error *error);
void sv_service_free(sv_service *service);

/* Adds a place; returns its index or SV_E_CONFIG (name twice) or SV_E_LIMIT. Before the threads begin. */
int sv_service_add(sv_service *service, const char *key, const char *uri, sv_error *error);

/* The place's version becomes `fresh`; waits until no request uses the old one, then frees it. From one thread at a time, never a worker. */
void sv_service_swap(sv_service *service, size_t slot, sv_served *fresh);

/* Requests that the background did not get; NULL background: 0. Any thread. */
unsigned long sv_background_dropped(const sv_background *background);

sv_drift_rule sv_service_drift_rule(const sv_service *service);

/* sv_http_options.handle: answers any request. context: the service. */
void sv_service_handle(void *context, unsigned worker, const sv_http_request *request, const char *peer, sv_reply *reply);

/* One request being answered: what handlers get. */
typedef struct sv_call {
    sv_service *service;
    unsigned worker;
    const sv_http_request *request;
    sv_reply *reply;
    sv_arena *arena;
    size_t slot;
    sv_served *served; /* the version that answers; NULL while none is loaded */
    sv_batch *batch;   /* this thread's workspace of it */
    sv_span argument;  /* what a route's {…} matched behind the model's name, or empty */
    size_t n_rows;     /* set by the handler: rows answered */
    sv_span id, trace; /* of scoring requests: X-Request-Id; traceparent, text NULL when none came */
    int is_what_if;    /* the page asks what would be: counts nowhere */
} sv_call;

/* Handlers, one a route; see router.c. */
void sv_handle_root(sv_call *call);
void sv_handle_ping(sv_call *call);
void sv_handle_version(sv_call *call);
void sv_handle_predict(sv_call *call);
void sv_handle_invocations(sv_call *call);
void sv_handle_explain(sv_call *call);
void sv_handle_metrics(sv_call *call);
void sv_handle_openapi(sv_call *call);
void sv_handle_page(sv_call *call);
void sv_handle_docs(sv_call *call);
void sv_handle_card(sv_call *call);
void sv_handle_v2_live(sv_call *call);
void sv_handle_v2_server(sv_call *call);
void sv_handle_v2_model(sv_call *call);
void sv_handle_v2_infer(sv_call *call);
void sv_handle_drift(sv_call *call);
void sv_handle_feedback(sv_call *call);
void sv_handle_live_figures(sv_call *call);
void sv_handle_shadow(sv_call *call);
void sv_handle_webhook(sv_call *call);

/* /invocations by the tree and the frame alone, which answer or refuse every body; the scanner must give the same answers where it gives one. */
void sv_call_answer_carefully(sv_call *call, int is_csv);

/* /predict and /explain take JSON, also under the names that clients give it by default. 0: 415 is in the reply. */
int sv_call_takes_json(sv_call *call);

/* The request's body as JSON, in the call's arena; NULL: it is none, and 422 is in the reply. */
const sv_json *sv_call_read_json(sv_call *call);

/* The body of /invocations as a frame; wrapped: its answer is {"predictions": …}. -1 with the refusal in the reply. */
int sv_call_read_frame(sv_call *call, sv_frame *frame, int *wrapped);

/* Reads one object or an array of objects as /predict does: typed columns ((n_inputs), in the call's arena). -1 with 422 or 413 in the reply. */
int sv_call_read_rows(sv_call *call, void **columns, size_t *n_rows, int *is_list);

/* Scores typed columns of n_rows rows, block by block, and appends the rows' objects, separated by ", ". 0, or an sv_code; *bad_row from 0. */
int sv_call_answer(sv_call *call, void *const *columns, size_t n_rows, long *bad_row, sv_error *error);

#endif
