/* How a worker ends: each step leads to the next, and an order can skip some. */
#include "top/worker_state.h"

#include "http/session.h"

#define LOOK_MS 5    /* while stopping: how often we look whether everything has ended */
#define CLEAN_MS 500 /* for the clean-up of what had to be forced */

static bool has_listeners(const struct worker *worker)
{
    for (size_t i = 0; worker->listeners && i < worker->config->listen.count; i++)
        if (worker->listeners[i].is_open)
            return true;
    return false;
}

static bool has_requests(const struct worker *worker)
{
    return worker->http.count > 0 || worker->http.requests.count > 0;
}

/* The last connection has gone: no need to wait for the next look. */
static void on_empty(struct http_server *http)
{
    struct worker *worker = container_of(http, struct worker, http);
    if (worker->phase != PHASE_ENDED)
        loop_set_deadline(&worker->loop, &worker->look, 0);
}

static void stop_accepting(struct worker *worker)
{
    for (size_t i = 0; worker->listeners && i < worker->config->listen.count; i++)
        listener_stop(&worker->listeners[i], NULL);
    stand_ins_stop(&worker->stand_ins);
}

static void enter_phase(struct worker *worker, enum worker_phase phase)
{
    worker->phase = phase;
    loop_set_deadline(&worker->loop, &worker->look, LOOK_MS);
}

static void drain_requests(struct worker *worker)
{
    if (!worker->http.is_draining)
        http_server_drain(&worker->http, on_empty);
}

void worker_stop_cancel(struct worker *worker)
{
    if (worker->phase >= PHASE_CANCELLING)
        return;
    stop_accepting(worker);
    drain_requests(worker);
    enter_phase(worker, PHASE_CANCELLING);
    lineage_hurry(&worker->lineage);
    if (worker_main_of(worker))
        generation_cancel(worker_main_of(worker)); /* tasks run: may answer and end requests */
}

static void on_shutdown_done(struct generation *gen, enum generation_phase phase, bool is_clean)
{
    struct worker *worker = worker_of(generation_owner(gen));
    (void)phase;
    worker->is_unclean |= !is_clean;
    if (worker->phase != PHASE_NOTIFYING)
        return; /* it was cut short */
    drain_requests(worker);
    enter_phase(worker, PHASE_DRAINING);
}

void worker_stop_drain(struct worker *worker)
{
    if (worker->phase >= PHASE_NOTIFYING)
        return;
    stop_accepting(worker);
    worker->phase = PHASE_NOTIFYING;
    lineage_retire(&worker->lineage);
    generation_run_phase(worker_main_of(worker), GENERATION_SHUTDOWN, "shutdown", on_shutdown_done);
}

static void on_cleanup_done(struct generation *gen, enum generation_phase phase, bool is_clean)
{
    struct worker *worker = worker_of(generation_owner(gen));
    (void)phase;
    worker->is_unclean |= !is_clean;
    enter_phase(worker, PHASE_LEAVING);
}

static bool is_idle(const struct worker *worker)
{
    return !worker_main_of(worker) || generation_is_idle(worker_main_of(worker));
}

static void begin_cleaning(struct worker *worker)
{
    worker->phase = PHASE_CLEANING;
    if (worker_main_of(worker))
        generation_run_phase(worker_main_of(worker), GENERATION_CLEANUP, "shutdown",
                             on_cleanup_done);
    else
        enter_phase(worker, PHASE_LEAVING); /* it could not even be made */
}

void worker_stop_cut(struct worker *worker)
{
    worker_stop_cancel(worker);
    if (worker->phase == PHASE_CLEANING)
        return;
    if (!is_idle(worker))
        generation_log_remains(worker_main_of(worker), &worker->http,
                               "has cancelled tasks that have not ended after timeouts.grace: "
                               "cutting them off");
    if (worker_main_of(worker))
        generation_cut(worker_main_of(worker), &worker->http);
    lineage_cut(&worker->lineage);
    http_server_abort(&worker->http);
}

/* Ends whatever there is, a clean-up too. */
static void force_main(struct worker *worker)
{
    struct generation *gen = worker_main_of(worker);
    if (!gen)
        return;
    generation_cut(gen, &worker->http);
    generation_take(gen, &worker->http);
}

void worker_stop_force(struct worker *worker)
{
    worker_stop_cut(worker);
    worker->is_unclean = true;
    worker->force_ms = loop_now_ms(&worker->loop) + CLEAN_MS;
    if (worker_main_of(worker))
        generation_log_remains(worker_main_of(worker), &worker->http,
                               "has not ended after timeouts.stop: leaving it behind");
    force_main(worker);
    lineage_force(&worker->lineage);
}

static bool is_forced(struct worker *worker)
{
    return worker->force_ms != 0 && loop_now_ms(&worker->loop) >= worker->force_ms;
}

/* Called again and again until the worker has ended. What is cancelled may start something new
 * (req:after), so it is cancelled again. */
void worker_stop_on_look(struct deadline *deadline)
{
    struct worker *worker = container_of(deadline, struct worker, look);
    if (worker->phase == PHASE_DRAINING && !has_requests(worker) &&
        !generation_has_callbacks(worker_main_of(worker)))
        worker_stop_cancel(worker);
    if (is_forced(worker))
        force_main(worker);
    else if (worker->phase >= PHASE_CANCELLING && worker_main_of(worker))
        generation_cancel(worker_main_of(worker));
    bool has_ended = is_idle(worker);
    if (worker->phase == PHASE_CANCELLING && has_ended) {
        worker->phase = PHASE_CLOSING;
        http_server_abort(&worker->http); /* may start tasks that learn of it */
    } else if (worker->phase == PHASE_CLOSING && has_ended && !has_requests(worker) &&
               !has_listeners(worker)) {
        begin_cleaning(worker);
    } else if (worker->phase == PHASE_LEAVING && has_ended &&
               lineage_is_settled(&worker->lineage)) {
        worker->phase = PHASE_ENDED;
    }
    if (worker->phase != PHASE_ENDED) {
        loop_set_deadline(&worker->loop, &worker->look, LOOK_MS);
        return;
    }
    loop_clear_deadline(&worker->loop, &worker->look); /* on_empty may have set it */
    loop_stop(&worker->loop);
}
