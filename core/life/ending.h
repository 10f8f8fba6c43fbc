/* How a generation ends while its worker goes on: its hooks are told and its jobs stop, what is
 * under way may end, the rest is cancelled, what it started is undone; then it is freed. The
 * lineage owns it.
 *
 * It always comes to its end, and in a limited time: each stage has one, and what has not ended by
 * then is named in the log and cut off, whatever the application does and whatever we have lost. */
#ifndef LIFE_ENDING_H
#define LIFE_ENDING_H

#include "http/http_server.h"
#include "life/generation.h"

#include <stdbool.h>

enum ending_stage {
    ENDING_NOTIFYING,  /* on_shutdown hooks; requests go on */
    ENDING_DRAINING,   /* what is under way ends */
    ENDING_CANCELLING, /* all tasks end */
    ENDING_CLEANING,   /* the clean-ups of the application */
    ENDING_LEAVING     /* what these left behind ends */
};

struct ending_times {
    uint64_t drain_ms; /* for NOTIFYING and DRAINING together */
    uint64_t grace_ms; /* for CANCELLING, and LEAVING */
    uint64_t clean_ms; /* for CLEANING, unless it is hurried */
};

struct ending {
    struct loop *loop;
    struct http_server *http;
    generation_phase_fn on_phase_done; /* calls ending_phase_done */
    /* Its jobs have stopped; not when it begins with ending_cancel. */
    void (*on_notified)(struct ending *ending);
    void (*on_ended)(struct ending *ending); /* `gen` may be freed */
    struct ending_times times;

    struct generation *gen; /* NULL: none ends */
    enum ending_stage stage;
    bool is_hurried; /* the next generation waits for its end */
    bool is_cut;     /* in this stage */
    struct deadline look;
    struct deadline limit; /* of the stage */
};

/* The caller has set what is above the blank line. */
void ending_init(struct ending *ending);
void ending_deinit(struct ending *ending);
void ending_start(struct ending *ending, struct generation *gen);  /* it has served until now */
void ending_cancel(struct ending *ending, struct generation *gen); /* it never served */
void ending_hurry(struct ending *ending); /* no more time for what is under way */
void ending_phase_done(struct ending *ending, enum generation_phase phase);
void ending_cut(struct ending *ending);   /* ends every task now, but a clean-up */
void ending_force(struct ending *ending); /* as if the time of its stage were over */

#endif
