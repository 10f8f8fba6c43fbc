/* How a generation ends while its worker goes on: see ending.h. Ends are found by looking, every
 * few milliseconds: what has to end may start something new, and is cancelled again. */
#include "ending.h"

#include "base/list.h"
#include "base/log.h"
#include "script/handler.h"

#define LOOK_MS 5
#define EXTRA_MS 1000 /* beyond the grace that tasks are given, so that they come first */

static void enter_stage(struct ending *ending, enum ending_stage stage)
{
    ending->stage = stage;
    loop_clear_deadline(ending->loop, &ending->limit);
    loop_set_deadline(ending->loop, &ending->look, 0);
}

static void begin_cancel(struct ending *ending)
{
    enter_stage(ending, ENDING_CANCELLING);
    loop_set_deadline(ending->loop, &ending->limit, ending->grace_ms + EXTRA_MS);
    generation_cancel(ending->gen);
    handler_hurry(ending->http, generation_vm(ending->gen));
}

static void begin_cleaning(struct ending *ending)
{
    enter_stage(ending, ENDING_CLEANING);
    generation_run_phase(ending->gen, GENERATION_CLEANUP, "reload", ending->on_phase_done);
}

void ending_phase_done(struct ending *ending, enum generation_phase phase)
{
    if (phase == GENERATION_CLEANUP)
        enter_stage(ending, ENDING_LEAVING);
    else if (ending->stage == ENDING_NOTIFYING)
        ending->stage = ENDING_DRAINING; /* with the same limit */
    if (phase == GENERATION_SHUTDOWN)
        ending->on_notified(ending);
}

static void on_limit(struct deadline *deadline)
{
    struct ending *ending = container_of(deadline, struct ending, limit);
    int number = generation_number(ending->gen);
    if (ending->stage == ENDING_CANCELLING) {
        log_warn("generation %d: cancelled tasks have not ended after timeouts.grace: cutting them "
                 "off",
                 number);
        ending_cut(ending);
        return;
    }
    log_warn("generation %d still has something under way after timeouts.drain: cancelling it",
             number);
    begin_cancel(ending);
}

static void on_look(struct deadline *deadline)
{
    struct ending *ending = container_of(deadline, struct ending, look);
    struct generation *gen = ending->gen;
    if (ending->stage == ENDING_DRAINING && !generation_has_clients(gen))
        begin_cancel(ending);
    if (ending->stage == ENDING_CANCELLING || ending->stage == ENDING_LEAVING)
        generation_cancel(gen);
    bool is_unused = generation_is_idle(gen) && !generation_has_clients(gen);
    if (ending->stage == ENDING_CANCELLING && is_unused) {
        begin_cleaning(ending);
    } else if (ending->stage == ENDING_LEAVING && is_unused) {
        ending_deinit(ending);
        ending->on_ended(ending); /* it may be used for the next one */
        return;
    }
    loop_set_deadline(ending->loop, &ending->look, LOOK_MS);
}

/* ---- for the lineage ---- */

void ending_init(struct ending *ending)
{
    deadline_init(&ending->look, on_look);
    deadline_init(&ending->limit, on_limit);
}

void ending_deinit(struct ending *ending)
{
    loop_clear_deadline(ending->loop, &ending->look);
    loop_clear_deadline(ending->loop, &ending->limit);
}

void ending_start(struct ending *ending, struct generation *gen)
{
    ending->gen = gen;
    enter_stage(ending, ENDING_NOTIFYING);
    loop_set_deadline(ending->loop, &ending->limit, ending->drain_ms);
    generation_run_phase(gen, GENERATION_SHUTDOWN, "reload", ending->on_phase_done);
}

void ending_cancel(struct ending *ending, struct generation *gen)
{
    ending->gen = gen;
    begin_cancel(ending);
}

void ending_hurry(struct ending *ending)
{
    if (ending->gen && ending->stage < ENDING_CANCELLING)
        begin_cancel(ending);
}

void ending_cut(struct ending *ending)
{
    if (ending->gen && ending->stage != ENDING_CLEANING)
        generation_cut(ending->gen);
}
