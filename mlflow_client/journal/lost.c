/* lost.c: how much of a run only memory has. The disk and the server each hold a beginning of what was logged: the rest behind the longer one is counted. */
#include "hub.h"

static uint64_t rest(uint64_t logged, uint64_t kept, uint64_t taken)
{
    uint64_t safe = kept > taken ? kept : taken;
    return logged > safe ? logged - safe : 0;
}

int mlf_hub_lost(mlf_hub *hub, mlf_run *run, int goes, mlf_tally *lost)
{
    mlf_tally taken;
    int is_whole = hub->sending && mlf_sender_is_done(&run->sender);
    *lost = (mlf_tally){.points = atomic_load(&run->turned_away)};
    if (run->pending.size || run->writing.size || (mlf_stream_is_refusing(&run->folder.stream) && !is_whole)) {
        mlf_sender_taken(&run->sender, &taken.points, &taken.ops);
        lost->points += rest(run->logged.points, run->kept.points, taken.points);
        lost->ops += rest(run->logged.ops, run->kept.ops, taken.ops);
    }
    for (int i = 0; i < MLF_HUB_QUEUES; i++) {
        mlf_queue *queue = atomic_load_explicit(&hub->queues[i], memory_order_acquire);
        lost->points += queue ? mlf_queue_count(queue, run, goes) : 0;
    }
    return lost->points || lost->ops;
}
