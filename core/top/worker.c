/* A worker: see worker.h. From its thread's start to its end only that thread touches what
 * is not marked otherwise. */
#include "top/worker.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/tally.h"
#include "base/thread.h"
#include "http/session.h"
#include "live/outlet.h"
#include "net/crypto.h"
#include "top/worker_state.h"
#include "web/handler.h"

#include <string.h>
#include <unistd.h>

/* --- serving --- */

static bool on_shortage(struct listener *listener)
{
    struct worker *worker = listener->loop->owner;
    return http_server_evict(&worker->http);
}

static void worker_on_accept(struct listener *listener, int fd)
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
    listener->on_accept = worker_on_accept;
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

void worker_begin_serving(struct worker *worker)
{
    if (worker->phase != PHASE_READY)
        return; /* told to stop meanwhile */
    worker->phase = PHASE_SERVING;
    worker->serving_err = open_listeners(worker);
    worker_report(worker, &worker->serving);
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
void worker_set_generation_options(struct worker *worker, const struct config *config)
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

void worker_use_config(struct worker *worker, const struct config *config)
{
    const struct http_limits limits = http_limits_of(config);
    worker->config = config;
    worker->loop.linger_ms = (uint32_t)config->timeouts.linger;
    worker->http.events = handler_events(config->log.access);
    http_server_set_limits(&worker->http, &limits);
    const struct ending_times times = ending_times_of(config);
    lineage_set_times(&worker->lineage, &times);
}

/* --- the thread --- */

/* The first generation. */
static void worker_on_booted(struct worker *worker, const struct generation_result *result)
{
    worker->result = *result;
    worker->result.message = result->message ? mem_strdup(result->message) : NULL;
    if (worker->phase == PHASE_BOOTING)
        worker->phase = PHASE_READY;
    worker_report(worker, &worker->booted);
    if (result->outcome != GENERATION_SERVE)
        worker_stop_cancel(worker);
}

static void on_built(struct lineage *lineage, const struct generation_result *result)
{
    struct worker *worker = worker_of(lineage);
    if (!lineage->current)
        worker_on_booted(worker, result);
    else if (result->outcome == GENERATION_SERVE)
        worker_answer(worker, WORKER_BUILD, NULL);
    else
        worker_answer(worker, WORKER_BUILD,
                      result->message ? result->message : "neap: cancelled\n");
}

static void on_handed_over(struct lineage *lineage, const char *error)
{
    worker_answer(worker_of(lineage), WORKER_HAND_OVER, error);
}

static void on_discarded(struct lineage *lineage)
{
    struct worker *worker = worker_of(lineage);
    if (worker->phase == PHASE_SERVING) /* else nobody has asked */
        worker_answer(worker, WORKER_DISCARD, NULL);
}

static const struct lineage_events lineage_events = {
    .on_built = on_built, .on_handed_over = on_handed_over, .on_discarded = on_discarded};

static void on_stop_wanted(struct generation *gen, int exit_code)
{
    struct worker *worker = worker_of(generation_owner(gen));
    if (worker->is_stop_wanted || gen != worker_main_of(worker))
        return; /* one that ends, or that does not serve yet, has no say */
    worker->is_stop_wanted = true;
    worker->wanted_exit = exit_code;
    worker_report(worker, &worker->stop_wanted);
}

static void on_generation_short(struct generation *gen)
{
    struct worker *worker = worker_of(generation_owner(gen));
    if (gen != worker->lineage.current || worker->phase != PHASE_SERVING)
        return;
    worker_report_shortage(worker);
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
    worker_set_generation_options(worker, worker->config);
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
    worker_report(worker, &worker->stopped); /* the main thread may join from here on */
    return NULL;
}

/* --- life, on the main thread --- */

static struct worker *worker_new(const struct worker_options *options)
{
    const struct ending_times times = ending_times_of(options->config);
    struct worker *worker = mem_calloc(sizeof *worker);
    worker->options = *options;
    worker->config = options->config;
    deadline_init(&worker->look, worker_stop_on_look);
    worker->stand_ins.prepare = prepare_listener;
    stand_ins_init(&worker->stand_ins, &worker->loop);
    worker->lineage = (struct lineage){.loop = &worker->loop,
                                       .http = &worker->http,
                                       .events = &lineage_events,
                                       .argc = options->argc,
                                       .argv = options->argv};
    lineage_init(&worker->lineage, &times); /* here: the main thread watches it at once */
    worker_orders_init(worker);
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
    return worker_main_of(worker) ? generation_vm(worker_main_of(worker)) : NULL;
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
