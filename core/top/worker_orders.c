/* What a worker is told by the main thread, and what it tells. Orders and reports travel as
 * messages that are members of the worker, so that stopping needs no memory. */
#include "top/worker_state.h"

#include "base/mem.h"

/* --- on the worker's thread --- */

void worker_report(struct worker *worker, struct report *report)
{
    loop_post(worker->options.main_loop, &report->message);
}

void worker_answer(struct worker *worker, enum worker_order order, const char *error)
{
    mem_free(worker->orders[order].error);
    worker->orders[order].error = error ? mem_strdup(error) : NULL;
    loop_post(worker->options.main_loop, &worker->orders[order].answer);
}

static void reload_step(struct worker *worker, enum worker_order order)
{
    struct lineage *lineage = &worker->lineage;
    if (worker->phase != PHASE_SERVING)
        return; /* it stops, and so does the reload */
    switch (order) {
    case WORKER_BUILD:
        worker_set_generation_options(worker, worker->build_config);
        lineage_build(lineage, worker->build_number);
        break;
    case WORKER_HAND_OVER: lineage_hand_over(lineage); break;
    case WORKER_SWITCH:
        worker_use_config(worker, worker->build_config);
        lineage_switch(lineage);
        worker_answer(worker, WORKER_SWITCH, NULL);
        break;
    default: lineage_discard(lineage); break;
    }
}

static void on_order(struct loop *loop, struct loop_message *message)
{
    struct order *order = container_of(message, struct order, message);
    struct worker *worker = order->worker;
    (void)loop;
    if (worker->phase == PHASE_ENDED)
        return;
    switch (order->order) {
    case WORKER_SERVE: worker_begin_serving(worker); break;
    case WORKER_DRAIN:
        if (worker->phase == PHASE_SERVING)
            worker_stop_drain(worker);
        else
            worker_stop_cancel(worker); /* still booting, or a script: nothing to wait for */
        break;
    case WORKER_CANCEL:
        if (worker->phase == PHASE_NOTIFYING || worker->phase == PHASE_DRAINING)
            generation_log_remains(worker_main_of(worker), &worker->http,
                                   "is cancelled with this under way:");
        worker_stop_cancel(worker);
        break;
    case WORKER_CUT: worker_stop_cut(worker); break;
    case WORKER_FORCE: worker_stop_force(worker); break;
    default: reload_step(worker, order->order); break;
    }
}

/* --- reports, on the main thread --- */

static void on_booted_report(struct loop *loop, struct loop_message *message)
{
    struct worker *worker = container_of(message, struct report, message)->worker;
    (void)loop;
    worker->options.events->on_booted(worker, &worker->result);
}

static void on_serving_report(struct loop *loop, struct loop_message *message)
{
    struct worker *worker = container_of(message, struct report, message)->worker;
    (void)loop;
    worker->options.events->on_serving(worker, worker->serving_err);
}

static void on_stop_wanted_report(struct loop *loop, struct loop_message *message)
{
    struct worker *worker = container_of(message, struct report, message)->worker;
    (void)loop;
    worker->options.events->on_stop_wanted(worker, worker->wanted_exit);
}

static void on_stopped_report(struct loop *loop, struct loop_message *message)
{
    struct worker *worker = container_of(message, struct report, message)->worker;
    (void)loop;
    worker->options.events->on_stopped(worker, !worker->is_unclean); /* worker is gone after this */
}

static void on_answer(struct loop *loop, struct loop_message *message)
{
    struct order *order = container_of(message, struct order, answer);
    struct worker *worker = order->worker;
    (void)loop;
    worker->options.events->on_step(worker, order->order, order->error);
}

static void on_shortage_report(struct loop *loop, struct loop_message *message)
{
    struct report *report = container_of(message, struct report, message);
    struct worker *worker = report->worker;
    (void)loop;
    mem_free(report);
    worker->options.events->on_shortage(worker);
}

/* It may happen again before the last report has arrived. */
void worker_report_shortage(struct worker *worker)
{
    struct report *shortage = mem_alloc(sizeof *shortage);
    *shortage = (struct report){.message.run = on_shortage_report, .worker = worker};
    worker_report(worker, shortage);
}

/* --- giving them --- */

void worker_order(struct worker *worker, enum worker_order order)
{
    bool is_repeated = order >= WORKER_BUILD && order <= WORKER_DISCARD;
    if (worker->orders[order].is_given && !is_repeated)
        return;
    worker->orders[order].is_given = true;
    loop_post(&worker->loop, &worker->orders[order].message);
}

void worker_build(struct worker *worker, int number, const struct config *config)
{
    worker->build_number = number;
    worker->build_config = config;
    worker_order(worker, WORKER_BUILD);
}

void worker_orders_init(struct worker *worker)
{
    for (int i = 0; i < WORKER_ORDERS; i++)
        worker->orders[i] = (struct order){.message.run = on_order,
                                           .answer.run = on_answer,
                                           .worker = worker,
                                           .order = (enum worker_order)i};
    worker->booted = (struct report){.message.run = on_booted_report, .worker = worker};
    worker->serving = (struct report){.message.run = on_serving_report, .worker = worker};
    worker->stop_wanted = (struct report){.message.run = on_stop_wanted_report, .worker = worker};
    worker->stopped = (struct report){.message.run = on_stopped_report, .worker = worker};
}
