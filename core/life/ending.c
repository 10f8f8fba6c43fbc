/* How a generation ends while its worker goes on: see ending.h. Ends are found by looking, every
 * few milliseconds: what has to end may start something new, and is cancelled again. */
#include "life/ending.h"

#include "base/list.h"
#include "base/log.h"
#include "web/handler.h"

#define LOOK_MS 5
#define EXTRA_MS 1000 /* beyond the grace that tasks are given, so that they come first */
#define CUT_MS 1000   /* for what was cut off to close its connections */

static uint64_t grace_ms(const struct ending *ending)
{
    return ending->times.grace_ms + EXTRA_MS;
}

/* Each step of the clean-up has the grace, and keeps to that by itself. */
static uint64_t cleaning_ms(const struct ending *ending)
{
    uint64_t whole_ms = ending->times.clean_ms + EXTRA_MS;
    return ending->is_hurried && grace_ms(ending) < whole_ms ? grace_ms(ending) : whole_ms;
}

static void enter_stage(struct ending *ending, enum ending_stage stage, uint64_t limit_ms)
{
    ending->stage = stage;
    ending->is_cut = false;
    loop_set_deadline(ending->loop, &ending->limit, limit_ms);
    loop_set_deadline(ending->loop, &ending->look, 0);
}

static void ending_begin_cancel(struct ending *ending)
{
    enter_stage(ending, ENDING_CANCELLING, grace_ms(ending));
    generation_cancel(ending->gen);
    handler_hurry(ending->http, generation_vm(ending->gen));
}

static void begin_cleaning(struct ending *ending)
{
    enter_stage(ending, ENDING_CLEANING, cleaning_ms(ending));
    generation_run_phase(ending->gen, GENERATION_CLEANUP, "reload", ending->on_phase_done);
}

void ending_phase_done(struct ending *ending, enum generation_phase phase)
{
    if (phase == GENERATION_CLEANUP)
        enter_stage(ending, ENDING_LEAVING, grace_ms(ending));
    else if (ending->stage == ENDING_NOTIFYING)
        ending->stage = ENDING_DRAINING; /* with the same limit */
    if (phase == GENERATION_SHUTDOWN)
        ending->on_notified(ending);
}

static const char *lateness(const struct ending *ending)
{
    switch (ending->stage) {
    case ENDING_CANCELLING:
        return "has cancelled tasks that have not ended after timeouts.grace: cutting them off";
    case ENDING_CLEANING:
        return ending->is_hurried
                   ? "has a clean-up that has not ended after timeouts.grace, and the next one "
                     "waits: cutting it off"
                   : "has a clean-up that has not ended after timeouts.stop: cutting it off";
    case ENDING_LEAVING:
        return "has tasks that its clean-up left behind, after timeouts.grace: cutting them off";
    default: return "still has something under way after timeouts.drain: cancelling it";
    }
}

/* Cancelled, then cut off, then taken away: one after the other has the desired effect. */
static void press(struct ending *ending)
{
    if (ending->is_cut) {
        generation_take(ending->gen, ending->http);
    } else {
        generation_log_remains(ending->gen, ending->http, lateness(ending));
        generation_cut(ending->gen, ending->http);
        ending->is_cut = true;
    }
    loop_set_deadline(ending->loop, &ending->limit, CUT_MS);
}

static void ending_on_limit(struct deadline *deadline)
{
    struct ending *ending = container_of(deadline, struct ending, limit);
    if (ending->stage >= ENDING_CANCELLING) {
        press(ending);
        return;
    }
    generation_log_remains(ending->gen, ending->http, lateness(ending));
    ending_begin_cancel(ending);
}

static void ending_on_look(struct deadline *deadline)
{
    struct ending *ending = container_of(deadline, struct ending, look);
    struct generation *gen = ending->gen;
    if (ending->stage == ENDING_DRAINING && !generation_has_clients(gen))
        ending_begin_cancel(ending);
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
    deadline_init(&ending->look, ending_on_look);
    deadline_init(&ending->limit, ending_on_limit);
}

void ending_deinit(struct ending *ending)
{
    loop_clear_deadline(ending->loop, &ending->look);
    loop_clear_deadline(ending->loop, &ending->limit);
}

void ending_start(struct ending *ending, struct generation *gen)
{
    ending->gen = gen;
    ending->is_hurried = false;
    enter_stage(ending, ENDING_NOTIFYING, ending->times.drain_ms);
    generation_run_phase(gen, GENERATION_SHUTDOWN, "reload", ending->on_phase_done);
}

void ending_cancel(struct ending *ending, struct generation *gen)
{
    ending->gen = gen;
    ending->is_hurried = false;
    ending_begin_cancel(ending);
}

void ending_hurry(struct ending *ending)
{
    if (!ending->gen || ending->is_hurried)
        return;
    ending->is_hurried = true;
    if (ending->stage < ENDING_CANCELLING)
        ending_begin_cancel(ending);
    else if (ending->stage == ENDING_CLEANING && !ending->is_cut)
        loop_set_deadline(ending->loop, &ending->limit, grace_ms(ending));
}

void ending_cut(struct ending *ending)
{
    if (ending->gen && ending->stage != ENDING_CLEANING)
        press(ending);
}

void ending_force(struct ending *ending)
{
    if (!ending->gen)
        return;
    if (!ending->is_cut)
        press(ending);
    press(ending);
}
