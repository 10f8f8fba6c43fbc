/* A worker: see worker.h. Orders and reports travel as messages that are members of the worker, so
 * that stopping needs no memory. From its thread's start to its end only that thread touches what
 * is not marked otherwise. */
#include "worker.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/tally.h"
#include "http/session.h"
#include "live/feed.h"
#include "net/listener.h"
#include "script/handler.h"
#include "script/task.h"
#include "script/watchdog.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define LOOK_MS 5            /* while stopping: how often we look whether everything has ended */
#define CROWDED_PAUSE_MS 100 /* without accepting while limits.connections are open */

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
    bool is_given; /* main thread */
};

struct report {
    struct loop_message message;
    struct worker *worker;
};

struct worker {
    struct outlet *outlet; /* its side of all topics */
    struct worker_options options;
    struct loop loop;
    pthread_t thread;
    enum worker_phase phase;
    struct generation *gen;
    struct http_server http;
    struct listener *listeners; /* one per address while serving */
    struct deadline look;       /* while stopping */
    pthread_mutex_t watch_lock; /* guards `watched`: the main thread looks at the vm, this thread
                                   frees it */
    struct vm *watched;
    struct order orders[WORKER_ORDERS];
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

static void watch(struct worker *worker, struct vm *vm)
{
    pthread_mutex_lock(&worker->watch_lock);
    worker->watched = vm;
    pthread_mutex_unlock(&worker->watch_lock);
}

/* --- stopping: each step leads to the next, and an order can skip some --- */

static bool has_listeners(const struct worker *worker)
{
    for (size_t i = 0; worker->listeners && i < worker->options.config->listen.count; i++)
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
    for (size_t i = 0; worker->listeners && i < worker->options.config->listen.count; i++)
        listener_stop(&worker->listeners[i], NULL);
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
    generation_cancel(worker->gen); /* tasks run: may answer and end requests */
}

static void on_shutdown_done(struct generation *gen, enum generation_phase phase, bool is_clean)
{
    struct worker *worker = generation_owner(gen);
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
    generation_run_phase(worker->gen, GENERATION_SHUTDOWN, "shutdown", on_shutdown_done);
}

static void on_cleanup_done(struct generation *gen, enum generation_phase phase, bool is_clean)
{
    struct worker *worker = generation_owner(gen);
    (void)phase;
    worker->is_unclean |= !is_clean;
    enter_phase(worker, PHASE_LEAVING);
}

static void cut(struct worker *worker)
{
    begin_cancel(worker);
    if (worker->phase == PHASE_CLEANING)
        return;
    if (!generation_is_idle(worker->gen))
        log_warn("worker %d: cancelled tasks have not ended after timeouts.grace: cutting them off",
                 worker_number(worker));
    generation_cut(worker->gen);
    http_server_abort(&worker->http);
}

/* Called again and again until the worker has ended. What is cancelled may start something new
 * (req:after), so it is cancelled again. */
static void on_look(struct deadline *deadline)
{
    struct worker *worker = container_of(deadline, struct worker, look);
    if (worker->phase == PHASE_DRAINING && !has_requests(worker) &&
        !generation_has_callbacks(worker->gen))
        begin_cancel(worker);
    if (worker->phase >= PHASE_CANCELLING)
        generation_cancel(worker->gen);
    bool is_idle = generation_is_idle(worker->gen);
    if (worker->phase == PHASE_CANCELLING && is_idle) {
        worker->phase = PHASE_CLOSING;
        http_server_abort(&worker->http); /* may start tasks that learn of it */
    } else if (worker->phase == PHASE_CLOSING && is_idle && !has_requests(worker) &&
               !has_listeners(worker)) {
        worker->phase = PHASE_CLEANING;
        generation_run_phase(worker->gen, GENERATION_CLEANUP, "shutdown", on_cleanup_done);
    } else if (worker->phase == PHASE_LEAVING && is_idle) {
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
    struct worker *worker = listener->owner;
    return http_server_evict(&worker->http);
}

static void on_accept(struct listener *listener, int fd)
{
    struct worker *worker = listener->owner;
    int err = session_open(&worker->http, fd, listener->is_unix);
    if (err)
        log_warn("worker %d: cannot serve a connection: %s", worker_number(worker), strerror(-err));
    if ((uint64_t)tally_count(TALLY_CONN) < worker->options.config->limits.connections)
        return;
    if (!http_server_evict(&worker->http))
        listener_pause(listener, CROWDED_PAUSE_MS); /* newcomers wait in the backlog */
}

static int open_listeners(struct worker *worker)
{
    size_t count = worker->options.config->listen.count;
    int result = 0;
    worker->listeners = mem_calloc(count * sizeof *worker->listeners);
    for (size_t i = 0; i < count; i++) {
        struct listener *listener = &worker->listeners[i];
        listener->on_accept = on_accept;
        listener->on_shortage = on_shortage;
        listener->owner = worker;
        int err = listener_start(listener, &worker->loop, worker->options.fds[i]);
        if (err)
            result = err; /* the others are started all the same: every fd is taken over */
    }
    return result;
}

/* A hook that failed has been logged; requests are answered all the same. */
static void on_ready_done(struct generation *gen, enum generation_phase phase, bool is_clean)
{
    (void)gen;
    (void)phase;
    (void)is_clean;
}

static void begin_serving(struct worker *worker)
{
    if (worker->phase != PHASE_READY)
        return; /* told to stop meanwhile */
    worker->phase = PHASE_SERVING;
    worker->serving_err = open_listeners(worker);
    report(worker, &worker->serving);
    if (worker->serving_err == 0)
        generation_run_phase(worker->gen, GENERATION_READY, "start", on_ready_done);
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
    case WORKER_CANCEL: begin_cancel(worker); break;
    default: cut(worker); break;
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

/* --- the thread --- */

static void on_booted(struct generation *gen, const struct generation_result *result)
{
    struct worker *worker = generation_owner(gen);
    worker->result = *result;
    worker->result.message = result->message ? mem_strdup(result->message) : NULL;
    if (worker->phase == PHASE_BOOTING)
        worker->phase = PHASE_READY;
    report(worker, &worker->booted);
    if (result->outcome != GENERATION_SERVE)
        begin_cancel(worker);
}

static void on_stop_wanted(struct generation *gen, int exit_code)
{
    struct worker *worker = generation_owner(gen);
    if (worker->is_stop_wanted)
        return;
    worker->is_stop_wanted = true;
    worker->wanted_exit = exit_code;
    report(worker, &worker->stop_wanted);
}

static struct http_limits http_limits_of(const struct config *config)
{
    return (struct http_limits){
        .header_bytes = (uint32_t)config->limits.header_bytes,
        .header_line = (uint32_t)config->limits.header_line,
        .header_count = (uint32_t)config->limits.headers,
        .uri = (uint32_t)config->limits.uri,
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

static int open_generation(struct worker *worker)
{
    const struct config *config = worker->options.config;
    struct generation_options options = worker->options.generation;
    options.owner = worker;
    options.on_stop_wanted = on_stop_wanted;
    options.vm.loop = &worker->loop;
    options.vm.memory_limit = (size_t)config->limits.memory;
    options.vm.watch_log_ms = (uint32_t)config->watchdog.log;
    options.vm.watch_raise_ms = (uint32_t)config->watchdog.raise;
    options.vm.cancel_grace_ms = (uint32_t)config->timeouts.grace;
    options.vm.outlet = worker->outlet = outlet_new(worker->options.hub, &worker->loop);
    options.vm.shelf = worker->options.shelf;
    worker->gen = generation_new(&options);
    if (!worker->gen)
        return -1;

    const struct http_limits limits = http_limits_of(config);
    const struct http_events events = handler_events(config->log.access);
    http_server_init(&worker->http, &worker->loop, &limits, &events, generation_vm(worker->gen));
    watch(worker, generation_vm(worker->gen));
    return 0;
}

static void close_generation(struct worker *worker)
{
    watch(worker, NULL);
    http_server_deinit(&worker->http);
    generation_free(worker->gen);
    worker->gen = NULL;
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    if (open_generation(worker) == 0) {
        generation_boot(worker->gen, worker->options.argc, worker->options.argv, on_booted);
        loop_run(&worker->loop);
        close_generation(worker);
        outlet_free(worker->outlet);
    } else {
        outlet_free(worker->outlet);
        worker->phase = PHASE_ENDED;
        worker->result = (struct generation_result){
            .outcome = GENERATION_FAILED,
            .exit_code = 1,
            .message = mem_strdup("neap: the Lua state could not be made, see above; is "
                                  "limits.memory too small?\n")};
        report(worker, &worker->booted);
    }
    report(worker, &worker->stopped); /* the main thread may join from here on */
    return NULL;
}

/* --- life, on the main thread --- */

static struct worker *worker_new(const struct worker_options *options)
{
    struct worker *worker = mem_calloc(sizeof *worker);
    worker->options = *options;
    deadline_init(&worker->look, on_look);
    pthread_mutex_init(&worker->watch_lock, NULL);
    for (int i = 0; i < WORKER_ORDERS; i++)
        worker->orders[i] = (struct order){
            .message.run = on_order, .worker = worker, .order = (enum worker_order)i};
    worker->booted = (struct report){.message.run = on_booted_report, .worker = worker};
    worker->serving = (struct report){.message.run = on_serving_report, .worker = worker};
    worker->stop_wanted = (struct report){.message.run = on_stop_wanted_report, .worker = worker};
    worker->stopped = (struct report){.message.run = on_stopped_report, .worker = worker};
    return worker;
}

static void worker_free(struct worker *worker)
{
    for (size_t i = 0;
         worker->options.fds && !worker->listeners && i < worker->options.config->listen.count; i++)
        close(worker->options.fds[i]); /* it never came to serving */
    pthread_mutex_destroy(&worker->watch_lock);
    mem_free((char *)worker->result.message);
    mem_free(worker->listeners);
    mem_free(worker);
}

struct worker *worker_start(const struct worker_options *options)
{
    struct worker *worker = worker_new(options);
    int err = loop_init(&worker->loop, worker); /* here, so that orders may be given at once */
    worker->loop.linger_ms = (uint32_t)options->config->timeouts.linger;
    if (err == 0) {
        err = -pthread_create(&worker->thread, NULL, worker_main, worker);
        if (err)
            loop_deinit(&worker->loop);
    }
    if (err == 0)
        return worker;
    log_error("worker %d: cannot start: %s", worker_number(worker), strerror(-err));
    worker_free(worker);
    return NULL;
}

void worker_order(struct worker *worker, enum worker_order order)
{
    if (worker->orders[order].is_given)
        return;
    worker->orders[order].is_given = true;
    loop_post(&worker->loop, &worker->orders[order].message);
}

void worker_watch(struct worker *worker)
{
    pthread_mutex_lock(&worker->watch_lock);
    if (worker->watched)
        watchdog_tick(worker->watched);
    pthread_mutex_unlock(&worker->watch_lock);
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
    return worker->gen ? generation_vm(worker->gen) : NULL;
}

void *worker_owner(const struct worker *worker)
{
    return worker->options.owner;
}

int worker_number(const struct worker *worker)
{
    return worker->options.generation.worker;
}
