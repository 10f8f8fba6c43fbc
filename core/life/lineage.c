/* A worker's generations: see lineage.h. */
#include "life/lineage.h"

#include "base/list.h"
#include "task/shortage.h"
#include "task/vm.h"
#include "task/watchdog.h"

#include <assert.h>
#include <string.h>

/* ---- being watched ---- */

static void lineage_watch_vm(struct lineage *lineage, const struct vm *old, struct vm *vm)
{
    size_t i = 0;
    pthread_mutex_lock(&lineage->watch_lock);
    while (lineage->watched[i] != old)
        i++;
    lineage->watched[i] = vm;
    pthread_mutex_unlock(&lineage->watch_lock);
}

void lineage_watch(struct lineage *lineage)
{
    pthread_mutex_lock(&lineage->watch_lock);
    for (size_t i = 0; i < sizeof(lineage->watched) / sizeof(*lineage->watched); i++)
        if (lineage->watched[i])
            watchdog_tick(lineage->watched[i]);
    pthread_mutex_unlock(&lineage->watch_lock);
}

void lineage_write_busy(struct lineage *lineage, char name[WATCH_NAME_SIZE])
{
    name[0] = '\0';
    pthread_mutex_lock(&lineage->watch_lock);
    for (size_t i = 0; i < sizeof(lineage->watched) / sizeof(*lineage->watched); i++)
        if (lineage->watched[i] && !name[0])
            watchdog_write_late(&lineage->watched[i]->watch, name);
    pthread_mutex_unlock(&lineage->watch_lock);
}

static void close_generation(struct lineage *lineage, struct generation **gen)
{
    lineage_watch_vm(lineage, generation_vm(*gen), NULL);
    generation_free(*gen);
    *gen = NULL;
}

/* ---- building ---- */

static void lineage_on_booted(struct generation *gen, const struct generation_result *result)
{
    struct lineage *lineage = generation_owner(gen);
    if (!lineage->is_discarding)
        lineage->events->on_built(lineage, result);
}

static void start_building(struct lineage *lineage)
{
    lineage->must_build = false;
    lineage->options.owner = lineage;
    struct vm *current = lineage->current ? generation_vm(lineage->current) : NULL;
    lineage->options.vm.predecessor = current;
    if (current && shortage_is_certain(current))
        shortage_relax(current); /* the next one may ask it for what it keeps */
    lineage->next = generation_new(&lineage->options);
    if (!lineage->next) {
        const struct generation_result result = {
            .outcome = GENERATION_FAILED,
            .exit_code = 1,
            .message = "neap: the Lua state could not be made, see above; is limits.memory too "
                       "small?\n"};
        lineage->events->on_built(lineage, &result);
        return;
    }
    lineage_watch_vm(lineage, NULL, generation_vm(lineage->next));
    generation_boot(lineage->next, lineage->argc, lineage->argv, lineage_on_booted);
}

void lineage_build(struct lineage *lineage, int number)
{
    assert(!lineage->next && !lineage->must_build);
    lineage->options.number = number;
    lineage->must_build = lineage->draining.gen != NULL;
    if (lineage->must_build)
        ending_hurry(&lineage->draining);
    else
        start_building(lineage);
}

static void on_build_turn(struct loop_job *job)
{
    start_building(container_of(job, struct lineage, build_job));
}

/* ---- giving it up ---- */

static void end_discard(struct lineage *lineage)
{
    lineage->is_discarding = false;
    lineage->events->on_discarded(lineage);
}

static void on_discarded(struct ending *ending)
{
    struct lineage *lineage = container_of(ending, struct lineage, discarded);
    close_generation(lineage, &ending->gen);
    end_discard(lineage);
}

static void on_nothing_to_discard(struct loop_job *job)
{
    end_discard(container_of(job, struct lineage, discard_job));
}

static void discard_next(struct lineage *lineage)
{
    struct generation *next = lineage->next;
    lineage->next = NULL;
    if (next)
        ending_cancel(&lineage->discarded, next);
    else
        loop_defer(lineage->loop, &lineage->discard_job);
}

void lineage_discard(struct lineage *lineage)
{
    lineage->must_build = false;
    loop_cancel_job(&lineage->build_job);
    lineage->is_discarding = true;
    if (lineage->current)
        shortage_restore(generation_vm(lineage->current));
    if (lineage->is_handing_over)
        handover_cancel(&lineage->handover); /* on_handed_over goes on */
    else
        discard_next(lineage);
}

/* ---- from one to the next ---- */

static void on_handed_over(struct handover *handover, const char *error)
{
    struct lineage *lineage = container_of(handover, struct lineage, handover);
    lineage->is_handing_over = false;
    if (lineage->is_discarding)
        discard_next(lineage);
    else
        lineage->events->on_handed_over(lineage, error);
}

void lineage_hand_over(struct lineage *lineage)
{
    lineage->is_handing_over = true;
    handover_start(&lineage->handover, generation_vm(lineage->current),
                   generation_vm(lineage->next), on_handed_over);
}

static void on_ready_done(struct generation *gen, enum generation_phase phase, bool is_clean)
{
    (void)gen; /* a hook that failed has been logged; requests are answered all the same */
    (void)phase;
    (void)is_clean;
}

/* The one before has stopped its jobs: those of two generations never run at the same time. */
static void stop_waiting(struct lineage *lineage)
{
    if (!lineage->is_waiting)
        return;
    lineage->is_waiting = false;
    generation_run_phase(lineage->current, GENERATION_READY, "reload", on_ready_done);
}

static void on_notified(struct ending *ending)
{
    stop_waiting(container_of(ending, struct lineage, draining));
}

void lineage_switch(struct lineage *lineage)
{
    struct generation *before = lineage->current;
    assert(!lineage->draining.gen && !lineage->is_handing_over);
    handover_switch(before ? generation_vm(before) : NULL, generation_vm(lineage->next),
                    lineage->http);
    lineage->current = lineage->next;
    lineage->next = NULL;
    lineage->is_waiting = before != NULL;
    if (before)
        ending_start(&lineage->draining, before);
    else
        generation_run_phase(lineage->current, GENERATION_READY, "start", on_ready_done);
}

static void lineage_on_drained(struct ending *ending)
{
    struct lineage *lineage = container_of(ending, struct lineage, draining);
    close_generation(lineage, &ending->gen);
    stop_waiting(lineage); /* its shutdown may have been skipped */
    if (lineage->must_build)
        loop_defer_next(lineage->loop, &lineage->build_job); /* to free one was enough for a turn */
}

/* ---- the worker stops ---- */

struct generation *lineage_main(const struct lineage *lineage)
{
    return lineage->current ? lineage->current : lineage->next;
}

void lineage_retire(struct lineage *lineage)
{
    lineage->is_waiting = false;
}

void lineage_hurry(struct lineage *lineage)
{
    lineage_retire(lineage);
    ending_hurry(&lineage->draining);
    if (lineage->current && !lineage->is_discarding &&
        (lineage->next || lineage->must_build || lineage->is_handing_over))
        lineage_discard(lineage);
}

void lineage_cut(struct lineage *lineage)
{
    ending_cut(&lineage->draining);
    ending_cut(&lineage->discarded);
}

void lineage_force(struct lineage *lineage)
{
    ending_force(&lineage->draining);
    ending_force(&lineage->discarded);
}

bool lineage_is_settled(const struct lineage *lineage)
{
    return !lineage->draining.gen && !lineage->is_discarding && !lineage->is_handing_over;
}

/* ---- life ---- */

static void on_phase_done(struct generation *gen, enum generation_phase phase, bool is_clean)
{
    struct lineage *lineage = generation_owner(gen);
    bool has_served = lineage->draining.gen == gen;
    (void)is_clean; /* what failed has been logged */
    ending_phase_done(has_served ? &lineage->draining : &lineage->discarded, phase);
}

void lineage_set_times(struct lineage *lineage, const struct ending_times *times)
{
    lineage->draining.times = lineage->discarded.times = *times;
}

void lineage_init(struct lineage *lineage, const struct ending_times *times)
{
    struct ending ending = {.loop = lineage->loop,
                            .http = lineage->http,
                            .on_phase_done = on_phase_done,
                            .on_notified = on_notified};
    ending_init(&ending);
    lineage->draining = lineage->discarded = ending;
    lineage->draining.on_ended = lineage_on_drained;
    lineage->discarded.on_ended = on_discarded;
    lineage_set_times(lineage, times);
    lineage->discard_job.run = on_nothing_to_discard;
    lineage->build_job.run = on_build_turn;
    pthread_mutex_init(&lineage->watch_lock, NULL);
}

void lineage_close(struct lineage *lineage)
{
    struct generation *main = lineage_main(lineage);
    assert(lineage_is_settled(lineage));
    loop_cancel_job(&lineage->discard_job);
    loop_cancel_job(&lineage->build_job);
    if (main)
        close_generation(lineage, lineage->current ? &lineage->current : &lineage->next);
}

void lineage_deinit(struct lineage *lineage)
{
    pthread_mutex_destroy(&lineage->watch_lock);
}
