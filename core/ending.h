/* How a generation ends while its worker goes on: its hooks are told and its jobs stop, what is
 * under way may end, the rest is cancelled, what it started is undone; then it is freed. The
 * lineage owns it. */
#ifndef ENDING_H
#define ENDING_H

#include "http/server.h"
#include "script/generation.h"

#include <stdbool.h>

enum ending_stage {
    ENDING_NOTIFYING,  /* on_shutdown hooks; requests go on */
    ENDING_DRAINING,   /* what is under way ends */
    ENDING_CANCELLING, /* all tasks end */
    ENDING_CLEANING,   /* the clean-ups of the application */
    ENDING_LEAVING     /* what these left behind ends */
};

struct ending {
    struct loop *loop;
    struct http_server *http;
    generation_phase_fn on_phase_done;          /* calls ending_phase_done */
    void (*on_notified)(struct ending *ending); /* its jobs have stopped; not when it begins with
                                                   ending_cancel */
    void (*on_ended)(struct ending *ending);    /* `gen` may be freed */
    uint64_t drain_ms;
    uint64_t grace_ms;

    struct generation *gen; /* NULL: none ends */
    enum ending_stage stage;
    struct deadline look;
    struct deadline limit; /* of DRAINING and CANCELLING */
};

/* The caller has set what is above the blank line. */
void ending_init(struct ending *ending);
void ending_deinit(struct ending *ending);
void ending_start(struct ending *ending, struct generation *gen);  /* it has served until now */
void ending_cancel(struct ending *ending, struct generation *gen); /* it never served */
void ending_hurry(struct ending *ending); /* no more time for what is under way */
void ending_phase_done(struct ending *ending, enum generation_phase phase);
void ending_cut(struct ending *ending); /* ends every task now, but a clean-up */

#endif
