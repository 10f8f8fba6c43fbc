/* The later phases of a generation (ready, shutdown, clean-up): each runs the Lua function that
 * core.on_phase was given, as a task. One at a time; the next one cuts an earlier one short. A
 * member of its generation. */
#ifndef LIFE_PHASE_H
#define LIFE_PHASE_H

#include "base/slots.h"
#include "life/generation.h"
#include "net/loop.h"

#include <stdbool.h>

struct phase_run {
    enum generation_phase phase;
    const char *reason; /* static */
    generation_phase_fn on_done;
};

struct phases {
    struct generation *gen;
    struct vm *vm;
    int fn_ref;       /* LUA_NOREF: nothing to do in any phase */
    slot_handle task; /* of `now` */
    bool is_running;  /* `now` is under way, or has ended and is about to be told */
    bool has_next;    /* starts when `now` has ended */
    bool is_clean;    /* how `now` ended */
    struct phase_run now;
    struct phase_run next;
    struct loop_job told; /* tells the owner at the end of the turn */
};

void phases_init(struct phases *phases, struct generation *gen, struct vm *vm);
void phases_deinit(struct phases *phases);
void phases_run(struct phases *phases, const struct phase_run *run);
bool phases_is_cleaning(const struct phases *phases); /* no task may be cancelled now */

#endif
