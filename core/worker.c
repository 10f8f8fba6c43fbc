/* A worker: see worker.h. Orders and reports travel as messages that are members of the worker, so
 * that stopping needs no memory. From its thread's start to its end only that thread touches what
 * is not marked otherwise. */
#include "worker.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/slots.h"
#include "base/tally.h"
#include "base/thread.h"
#include "http/session.h"
#include "lineage.h"
#include "live/feed.h"
#include "net/crypto.h"
#include "net/listener.h"
#include "script/handler.h"
#include "stand_in.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define LOOK_MS 5    /* while stopping: how often we look whether everything has ended */
#define CLEAN_MS 500 /* for the clean-up of what had to be forced */

enum worker_phase {
    PHASE_BOOTING,
    PHASE_READY,
    PHASE_SERVING,
    PHASE_NOTIFYING,  /* on_shutdown hooks, connections are alive */
    PHASE_DRAINING,   /* requests under way end */
    PHASE_CANCELLING, /* tasks end */
    PHASE_CLOSING,    /* connections close */
    PHASE_CLEANING,   /* the application's clean-ups */
    PHASE_LEAVING,    /* what these left behind ends */
    PHASE_ENDED
};

struct order {
    struct loop_message message;
    struct worker *worker;
    enum worker_order order;
    bool is_given;              /* main thread */
    struct loop_message answer; /* to one of a reload */
    char *error;                /* the answer's, owned */
};

struct report {
    struct loop_message message;
    struct worker *worker;
};

struct worker {
    struct outlet *outlet;   /* its side of all topics */
    struct slots websockets; /* of all its generations, for handles */
    struct worker_options options;
    const struct config *config; /* in effect */
    struct loop loop;
    pthread_t thread;
    enum worker_phase phase;
    struct lineage lineage;
    struct http_server http;
    struct listener *listeners; /* one per address while serving */
    struct stand_ins stand_ins; /* at other workers' doors */
    struct deadline look;       /* while stopping */
    uint64_t force_ms;          /* from then on nothing is waited for; 0: not yet known */
    struct order orders[WORKER_ORDERS];
    int build_number;                  /* for WORKER_BUILD */
    const struct config *build_config; /* and from WORKER_SWITCH on */
    struct report booted;
    struct report serving;
    struct report stop_wanted;
    struct report stopped;
    bool is_stop_wanted; /* reported once */
    int wanted_exit;
    bool is_unclean;                 /* hooks have failed */
    struct generation_result result; /* of the boot; the message is owned */
    int serving_err;
};

static void report(struct worker *worker, struct report *report)
{
    loop_post(worker->options.main_loop, &report->message);
}

/* Its lineage is the owner of its generations. */
static struct worker *worker_of(struct lineage *lineage)
{
    return container_of(lineage, struct worker, lineage);
}

/* What starts and stops with the worker. */
static struct generation *main_of(const struct worker *worker)
{
    return lineage_main(&worker->lineage);
}

/* --- stopping: each step leads to the next, and an order can skip some --- */

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

static void begin_cancel(struct worker *worker)
{
    if (worker->phase >= PHASE_CANCELLING)
        return;
    stop_accepting(worker);
    drain_requests(worker);
    enter_phase(worker, PHASE_CANCELLING);
    lineage_hurry(&worker->lineage);
    if (main_of(worker))
        generation_cancel(main_of(worker)); /* tasks run: may answer and end requests */
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

static void begin_drain(struct worker *worker)
{
    if (worker->phase >= PHASE_NOTIFYING)
        return;
    stop_accepting(worker);
    worker->phase = PHASE_NOTIFYING;
    lineage_retire(&worker->lineage);
    generation_run_phase(main_of(worker), GENERATION_SHUTDOWN, "shutdown", on_shutdown_done);
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
    return !main_of(worker) || generation_is_idle(main_of(worker));
}

static void begin_cleaning(struct worker *worker)
{
    worker->phase = PHASE_CLEANING;
    if (main_of(worker))
        generation_run_phase(main_of(worker), GENERATION_CLEANUP, "shutdown", on_cleanup_done);
    else
        enter_phase(worker, PHASE_LEAVING); /* it could not even be made */
}

static void cut(struct worker *worker)
{
    begin_cancel(worker);
    if (worker->phase == PHASE_CLEANING)
        return;
    if (!is_idle(worker))
        generation_log_remains(main_of(worker), &worker->http,
                               "has cancelled tasks that have not ended after timeouts.grace: "
                               "cutting them off");
    if (main_of(worker))
        generation_cut(main_of(worker), &worker->http);
    lineage_cut(&worker->lineage);
    http_server_abort(&worker->http);
}

/* Ends whatever there is, a clean-up too. */
static void force_main(struct worker *worker)
{
    struct generation *gen = main_of(worker);
    if (!gen)
        return;
    generation_cut(gen, &worker->http);
    generation_take(gen, &worker->http);
}

static void force(struct worker *worker)
{
    cut(worker);
    worker->is_unclean = true;
    worker->force_ms = loop_now_ms(&worker->loop) + CLEAN_MS;
    if (main_of(worker))
        generation_log_remains(main_of(worker), &worker->http,
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
static void on_look(struct deadline *deadline)
{
    struct worker *worker = container_of(deadline, struct worker, look);
    if (worker->phase == PHASE_DRAINING && !has_requests(worker) &&
        !generation_has_callbacks(main_of(worker)))
        begin_cancel(worker);
    if (is_forced(worker))
        force_main(worker);
    else if (worker->phase >= PHASE_CANCELLING && main_of(worker))
        generation_cancel(main_of(worker));
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

/* --- serving --- */

static bool on_shortage(struct listener *listener)
{
    struct worker *worker = listener->loop->owner;
    return http_server_evict(&worker->http);
}

static void on_accept(struct listener *listener, int fd)
{
    struct worker *worker = listener->loop->owner;
    int err = session_open(&worker->http, fd, listener->is_unix);
    if (err)
        log_warn("worker %d: cannot serve a connection: %s", worker_number(worker), strerror(-err));
}

/* Newcomers wait in the backlog, then. */
static bool is_full(struct listener *listener)
{
    const struct worker *worker = listener->loop->owner;
    return (uint64_t)tally_count(TALLY_CONN) >= worker->config->limits.connections;
}

static void prepare_listener(struct listener *listener)
{
    listener->on_accept = on_accept;
    listener->is_full = is_full;
    listener->on_shortage = on_shortage;
}

static int open_listeners(struct worker *worker)
{
    size_t count = worker->config->listen.count;
    int result = 0;
    worker->listeners = mem_calloc(count * sizeof *worker->listeners);
    for (size_t i = 0; i < count; i++) {
        struct listener *listener = &worker->listeners[i];
        prepare_listener(listener);
        int err = listener_start(listener, &worker->loop, worker->options.fds[i]);
        if (err)
            result = err; /* the others are started all the same: every fd is taken over */
    }
    return result;
}

static void begin_serving(struct worker *worker)
{
    if (worker->phase != PHASE_READY)
        return; /* told to stop meanwhile */
    worker->phase = PHASE_SERVING;
    worker->serving_err = open_listeners(worker);
    report(worker, &worker->serving);
    if (worker->serving_err == 0)
        lineage_switch(&worker->lineage); /* before anything is accepted */
}

/* --- settings --- */

static struct http_limits http_limits_of(const struct config *config)
{
    return (struct http_limits){
        .header_bytes = (uint32_t)config->limits.header_bytes,
        .header_line = (uint32_t)config->limits.header_line,
        .header_count = (uint32_t)config->limits.headers,
        .uri = (uint32_t)config->limits.uri,
        .underscores = (enum header_underscores)config->headers.underscores,
        .chunk_extensions = (uint32_t)config->limits.chunk_extensions,
        .body = config->limits.body,
        .body_rate = (uint32_t)config->limits.body_rate,
        .body_window_ms = (uint32_t)config->timeouts.body_window,
        .gzip_min = config->compress.enabled ? config->compress.min : 0,
        .header_ms = (uint32_t)config->timeouts.header,
        .idle_ms = (uint32_t)config->timeouts.idle,
        .write_ms = (uint32_t)config->timeouts.write,
    };
}

static struct ending_times ending_times_of(const struct config *config)
{
    return (struct ending_times){.drain_ms = config->timeouts.drain,
                                 .grace_ms = config->timeouts.grace,
                                 .clean_ms = config->timeouts.stop};
}

/* For the generations that are built from now on. */
static void set_generation_options(struct worker *worker, const struct config *config)
{
    struct generation_options *options = &worker->lineage.options;
    options->config_file = config->file;
    options->environment = config->environment;
    options->settings = config->settings;
    options->setting_count = config_key_count;
    options->vm.memory_limit = (size_t)config->limits.memory;
    options->vm.watch_log_ms = (uint32_t)config->watchdog.log;
    options->vm.watch_raise_ms = (uint32_t)config->watchdog.raise;
    options->vm.watch_thread_ms = (uint32_t)config->watchdog.thread;
    options->vm.cancel_grace_ms = (uint32_t)config->timeouts.grace;
}

static void use_config(struct worker *worker, const struct config *config)
{
    const struct http_limits limits = http_limits_of(config);
    worker->config = config;
    worker->loop.linger_ms = (uint32_t)config->timeouts.linger;
    worker->http.events = handler_events(config->log.access);
    http_server_set_limits(&worker->http, &limits);
    const struct ending_times times = ending_times_of(config);
    lineage_set_times(&worker->lineage, &times);
}

/* --- reloading --- */

static void answer(struct worker *worker, enum worker_order order, const char *error)
{
    mem_free(worker->orders[order].error);
    worker->orders[order].error = error ? mem_strdup(error) : NULL;
    loop_post(worker->options.main_loop, &worker->orders[order].answer);
}

static void on_handed_over(struct lineage *lineage, const char *error)
{
    answer(worker_of(lineage), WORKER_HAND_OVER, error);
}

static void on_discarded(struct lineage *lineage)
{
    struct worker *worker = worker_of(lineage);
    if (worker->phase == PHASE_SERVING) /* else nobody has asked */
        answer(worker, WORKER_DISCARD, NULL);
}

static void reload_step(struct worker *worker, enum worker_order order)
{
    struct lineage *lineage = &worker->lineage;
    if (worker->phase != PHASE_SERVING)
        return; /* it stops, and so does the reload */
    switch (order) {
    case WORKER_BUILD:
        set_generation_options(worker, worker->build_config);
        lineage_build(lineage, worker->build_number);
        break;
    case WORKER_HAND_OVER: lineage_hand_over(lineage); break;
    case WORKER_SWITCH:
        use_config(worker, worker->build_config);
        lineage_switch(lineage);
        answer(worker, WORKER_SWITCH, NULL);
        break;
    default: lineage_discard(lineage); break;
    }
}

/* --- orders, on the worker's thread --- */

static void on_order(struct loop *loop, struct loop_message *message)
{
    struct order *order = container_of(message, struct order, message);
    struct worker *worker = order->worker;
    (void)loop;
    if (worker->phase == PHASE_ENDED)
        return;
    switch (order->order) {
    case WORKER_SERVE: begin_serving(worker); break;
    case WORKER_DRAIN:
        if (worker->phase == PHASE_SERVING)
            begin_drain(worker);
        else
            begin_cancel(worker); /* still booting, or a script: nothing to wait for */
        break;
    case WORKER_CANCEL:
        if (worker->phase == PHASE_NOTIFYING || worker->phase == PHASE_DRAINING)
            generation_log_remains(main_of(worker), &worker->http,
                                   "is cancelled with this under way:");
        begin_cancel(worker);
        break;
    case WORKER_CUT: cut(worker); break;
    case WORKER_FORCE: force(worker); break;
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

/* --- the thread --- */

/* The first generation. */
static void on_booted(struct worker *worker, const struct generation_result *result)
{
    worker->result = *result;
    worker->result.message = result->message ? mem_strdup(result->message) : NULL;
    if (worker->phase == PHASE_BOOTING)
        worker->phase = PHASE_READY;
    report(worker, &worker->booted);
    if (result->outcome != GENERATION_SERVE)
        begin_cancel(worker);
}

static void on_built(struct lineage *lineage, const struct generation_result *result)
{
    struct worker *worker = worker_of(lineage);
    if (!lineage->current)
        on_booted(worker, result);
    else if (result->outcome == GENERATION_SERVE)
        answer(worker, WORKER_BUILD, NULL);
    else
        answer(worker, WORKER_BUILD, result->message ? result->message : "neap: cancelled\n");
}

static const struct lineage_events lineage_events = {
    .on_built = on_built, .on_handed_over = on_handed_over, .on_discarded = on_discarded};

static void on_stop_wanted(struct generation *gen, int exit_code)
{
    struct worker *worker = worker_of(generation_owner(gen));
    if (worker->is_stop_wanted || gen != main_of(worker))
        return; /* one that ends, or that does not serve yet, has no say */
    worker->is_stop_wanted = true;
    worker->wanted_exit = exit_code;
    report(worker, &worker->stop_wanted);
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
static void on_generation_short(struct generation *gen)
{
    struct worker *worker = worker_of(generation_owner(gen));
    if (gen != worker->lineage.current || worker->phase != PHASE_SERVING)
        return;
    struct report *shortage = mem_alloc(sizeof *shortage);
    *shortage = (struct report){.message.run = on_shortage_report, .worker = worker};
    report(worker, shortage);
}

static void open_lineage(struct worker *worker)
{
    struct generation_options *options = &worker->lineage.options;
    worker->outlet = outlet_new(worker->options.hub, &worker->loop);
    slots_init(&worker->websockets);
    *options = worker->options.generation;
    options->on_stop_wanted = on_stop_wanted;
    options->on_shortage = on_generation_short;
    options->vm.loop = &worker->loop;
    options->vm.http_limits = &worker->http.limits; /* set by our caller */
    options->vm.outlet = worker->outlet;
    options->vm.shelf = worker->options.shelf;
    options->vm.websockets = &worker->websockets;
    set_generation_options(worker, worker->config);
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    const struct http_limits limits = http_limits_of(worker->config);
    const struct http_events events = handler_events(worker->config->log.access);
    crypto_begin_thread();
    open_lineage(worker);
    http_server_init(&worker->http, &worker->loop, &limits, &events, NULL);
    lineage_build(&worker->lineage, worker->options.generation.number);

    loop_run(&worker->loop);

    http_server_deinit(&worker->http);
    lineage_close(&worker->lineage);
    slots_deinit(&worker->websockets);
    outlet_free(worker->outlet);
    report(worker, &worker->stopped); /* the main thread may join from here on */
    return NULL;
}

/* --- life, on the main thread --- */

static struct worker *worker_new(const struct worker_options *options)
{
    const struct ending_times times = ending_times_of(options->config);
    struct worker *worker = mem_calloc(sizeof *worker);
    worker->options = *options;
    worker->config = options->config;
    deadline_init(&worker->look, on_look);
    worker->stand_ins.prepare = prepare_listener;
    stand_ins_init(&worker->stand_ins, &worker->loop);
    worker->lineage = (struct lineage){.loop = &worker->loop,
                                       .http = &worker->http,
                                       .events = &lineage_events,
                                       .argc = options->argc,
                                       .argv = options->argv};
    lineage_init(&worker->lineage, &times); /* here: the main thread watches it at once */
    for (int i = 0; i < WORKER_ORDERS; i++)
        worker->orders[i] = (struct order){.message.run = on_order,
                                           .answer.run = on_answer,
                                           .worker = worker,
                                           .order = (enum worker_order)i};
    worker->booted = (struct report){.message.run = on_booted_report, .worker = worker};
    worker->serving = (struct report){.message.run = on_serving_report, .worker = worker};
    worker->stop_wanted = (struct report){.message.run = on_stop_wanted_report, .worker = worker};
    worker->stopped = (struct report){.message.run = on_stopped_report, .worker = worker};
    return worker;
}

static void worker_free(struct worker *worker)
{
    for (size_t i = 0;
         worker->options.fds && !worker->listeners && i < worker->config->listen.count; i++)
        close(worker->options.fds[i]); /* it never came to serving */
    lineage_deinit(&worker->lineage);
    for (int i = 0; i < WORKER_ORDERS; i++)
        mem_free(worker->orders[i].error);
    mem_free((char *)worker->result.message);
    mem_free(worker->listeners);
    mem_free(worker);
}

struct worker *worker_start(const struct worker_options *options)
{
    struct worker *worker = worker_new(options);
    int err = loop_init(&worker->loop, worker); /* here, so that orders may be given at once */
    worker->loop.linger_ms = (uint32_t)options->config->timeouts.linger;
    worker->loop.output = options->output;
    worker->loop.input = options->input;
    if (err == 0) {
        err = thread_start(&worker->thread, NULL, worker_main, worker);
        if (err)
            loop_deinit(&worker->loop);
    }
    if (err == 0)
        return worker;
    log_error("worker %d: cannot start: %s", worker_number(worker), thread_error(err));
    worker_free(worker);
    return NULL;
}

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

void worker_watch(struct worker *worker)
{
    lineage_watch(&worker->lineage);
}

struct stand_ins *worker_stand_ins(struct worker *worker)
{
    return &worker->stand_ins;
}

void worker_write_busy(struct worker *worker, char name[WORKER_BUSY_SIZE])
{
    lineage_write_busy(&worker->lineage, name);
}

void worker_join(struct worker *worker)
{
    pthread_join(worker->thread, NULL);
    loop_deinit(&worker->loop);
    worker_free(worker);
}

struct loop *worker_loop(struct worker *worker)
{
    return &worker->loop;
}

struct vm *worker_vm(const struct worker *worker)
{
    return main_of(worker) ? generation_vm(main_of(worker)) : NULL;
}

struct vm *worker_old_vm(const struct worker *worker)
{
    const struct generation *old = worker->lineage.draining.gen;
    return old ? generation_vm(old) : NULL;
}

void *worker_owner(const struct worker *worker)
{
    return worker->options.owner;
}

int worker_number(const struct worker *worker)
{
    return worker->options.generation.worker;
}
