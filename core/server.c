/* The server: see server.h. A life is STARTING, SERVING, then one stage of stopping after the
 * other: each asks more firmly than the one before, and has a limited time. */
#include "server.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/tally.h"
#include "base/thread.h"
#include "control.h"
#include "deaf.h"
#include "develop.h"
#include "live/store.h"
#include "live/topic.h"
#include "net/work.h"
#include "net/crypto.h"
#include "net/signals.h"
#include "net/threads.h"
#include "relief.h"
#include "reload.h"
#include "renewal.h"
#include "script/library.h"
#include "script/watchdog.h"
#include "sockets.h"
#include "worker.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXTRA_MS 1000 /* beyond what Lua and the tasks are told, so that they come first */
#define SWEEP_MS 5000
#define CUT_MS 1000 /* for what was cut off to close */
#define FORCE_MS 2000
#define THREADS_MS 2000

enum server_stage {
    STAGE_STARTING,
    STAGE_SERVING,
    STAGE_DRAINING,
    STAGE_CANCELLING,
    STAGE_CUTTING,
    STAGE_FORCING
};

struct server {
    struct server_options options;
    const struct config *config; /* in effect */
    struct loop loop;
    struct signals signals;
    enum server_stage stage;
    struct deadline limit; /* of the stage */
    uint64_t stop_by_ms;   /* when timeouts.stop is over; 0 before stopping */
    struct deadline tick;  /* of the watchdog */
    int exit_code;
    bool has_failed; /* and said so */
    int stop_signals;

    struct hub *hub;         /* all topics */
    struct shelf *shelf;     /* all stores */
    struct quota output;     /* limits.output */
    struct quota input;      /* limits.input */
    struct threads *threads; /* for task.thread */
    struct library *library;
    uint64_t swept_ms; /* when topics nobody uses were last looked for */
    struct sockets sockets;
    struct deaf deaf; /* while it serves */
    struct control control;
    struct worker **workers; /* NULL once joined */
    int worker_count;
    int alive;
    int ready;   /* booted, and wait for the others */
    int serving; /* accept connections */
    struct reload reload;
    struct relief relief;
    struct renewal renewal; /* of the settings */
    struct develop develop; /* of `neap dev` */
};

/* --- stages of stopping --- */

static void order_all(struct server *server, enum worker_order order)
{
    for (int i = 0; i < server->worker_count; i++)
        if (server->workers[i])
            worker_order(server->workers[i], order);
}

/* Does nothing when that stage or a later one has begun. */
static void enter_stage(struct server *server, enum server_stage stage, enum worker_order order,
                        uint64_t limit_ms)
{
    if (server->stage >= stage)
        return;
    server->stage = stage;
    reload_stop(&server->reload);
    deaf_stop(&server->deaf); /* workers close their sockets from here on */
    loop_set_deadline(&server->loop, &server->limit, limit_ms);
    order_all(server, order);
}

/* `wanted_ms`, or what is left of the budget for the whole stop, which the first call opens. */
static uint64_t within_stop(struct server *server, uint64_t wanted_ms)
{
    uint64_t now_ms = loop_now_ms(&server->loop);
    if (server->stop_by_ms == 0)
        server->stop_by_ms = now_ms + server->config->timeouts.stop;
    uint64_t left_ms = server->stop_by_ms > now_ms ? server->stop_by_ms - now_ms : 0;
    return wanted_ms < left_ms ? wanted_ms : left_ms;
}

/* A third of the budget is for what comes behind it. */
static void begin_drain(struct server *server)
{
    uint64_t most_ms = server->config->timeouts.stop * 2 / 3;
    uint64_t drain_ms = server->config->timeouts.drain;
    enter_stage(server, STAGE_DRAINING, WORKER_DRAIN,
                within_stop(server, drain_ms < most_ms ? drain_ms : most_ms));
}

static void begin_cancel(struct server *server)
{
    enter_stage(server, STAGE_CANCELLING, WORKER_CANCEL,
                within_stop(server, server->config->timeouts.grace + EXTRA_MS));
}

static void begin_cut(struct server *server)
{
    enter_stage(server, STAGE_CUTTING, WORKER_CUT, within_stop(server, UINT64_MAX) + CUT_MS);
}

static void begin_force(struct server *server)
{
    enter_stage(server, STAGE_FORCING, WORKER_FORCE, FORCE_MS);
}

/* Something does not come to an end, and nothing can be done about it: one call of C that never
 * returns. */
static void give_up(struct server *server)
{
    for (int i = 0; i < server->worker_count; i++) {
        char busy[WORKER_BUSY_SIZE];
        if (!server->workers[i])
            continue;
        worker_write_busy(server->workers[i], busy);
        log_error("worker %d does not stop%s%s", worker_number(server->workers[i]),
                  busy[0] ? ": it is inside of " : "", busy);
    }
    log_stop();
    _exit(EXIT_UNCLEAN);
}

static void fail(struct server *server, const char *message)
{
    if (!server->has_failed && message)
        fputs(message, stderr); /* all workers load the same files: one report is enough */
    server->has_failed = true;
    server->exit_code = EXIT_FAILED;
    begin_cancel(server);
}

static void on_limit(struct deadline *deadline)
{
    struct server *server = container_of(deadline, struct server, limit);
    char text[200];
    switch (server->stage) {
    case STAGE_STARTING:
        snprintf(text, sizeof text,
                 "neap: not ready after %.3g s: %d of %d workers are still loading. Allow more "
                 "with timeouts.startup, "
                 "or move slow work out of loading.\n",
                 (double)server->config->timeouts.startup / 1000,
                 server->worker_count - server->ready, server->worker_count);
        fail(server, text);
        break;
    case STAGE_DRAINING:
        log_warn("stopping: requests are still under way after timeouts.drain: cancelling them");
        begin_cancel(server);
        break;
    case STAGE_CANCELLING: begin_cut(server); break;
    case STAGE_CUTTING: begin_force(server); break;
    case STAGE_FORCING: give_up(server); break;
    default: break;
    }
}

/* --- signals --- */

static void on_stop_signal(struct server *server, int number)
{
    switch (++server->stop_signals) {
    case 1:
        log_info("%s: stopping", signals_name(number));
        begin_drain(server);
        break;
    case 2:
        log_warn("%s again: cancelling what is under way", signals_name(number));
        begin_cancel(server);
        break;
    default:
        log_error("%s for the third time: leaving at once", signals_name(number));
        log_stop();
        _exit(EXIT_UNCLEAN);
    }
}

static void on_signal(struct loop *loop, int number)
{
    struct server *server = loop->owner;
    if (number != SIGHUP) {
        on_stop_signal(server, number);
    } else if (server->options.cli->is_serving) { /* a hang-up does not end a script either */
        log_info("SIGHUP: loading the application anew");
        server_reload(server, NULL, NULL);
    }
}

void server_reload(struct server *server, reload_done_fn on_done, void *arg)
{
    if (server->stage != STAGE_STARTING)
        reload_start(&server->reload, on_done, arg);
    else if (on_done)
        on_done(arg, 1, "neap: the server is still starting\n");
}

/* --- workers --- */

static void sweep_live(struct server *server)
{
    uint64_t now_ms = loop_now_ms(&server->loop);
    if (now_ms - server->swept_ms < SWEEP_MS)
        return;
    server->swept_ms = now_ms;
    hub_sweep(server->hub, now_ms);
    shelf_sweep(server->shelf, now_ms);
}

static void on_tick(struct deadline *deadline)
{
    struct server *server = container_of(deadline, struct server, tick);
    for (int i = 0; i < server->worker_count; i++)
        if (server->workers[i])
            worker_watch(server->workers[i]);
    sweep_live(server);
    loop_set_deadline(&server->loop, &server->tick, WATCHDOG_TICK_MS);
}

static void on_booted(struct worker *worker, const struct generation_result *result)
{
    struct server *server = worker_owner(worker);
    switch (result->outcome) {
    case GENERATION_SERVE:
        if (++server->ready == server->worker_count && server->stage == STAGE_STARTING)
            order_all(server, WORKER_SERVE);
        break;
    case GENERATION_FAILED:
        fail(server, result->message);
        if (result->exit_code)
            server->exit_code = result->exit_code;
        break;
    case GENERATION_DONE:
        server->exit_code = result->exit_code;
        begin_cancel(server);
        break;
    case GENERATION_CANCELLED:
        if (!server->options.cli->is_serving)
            server->exit_code = EXIT_FAILED; /* a script that was interrupted has not done its work
                                              */
        begin_cancel(server);
        break;
    }
}

static void print_ready(struct server *server)
{
    struct bytes listening;
    bytes_init(&listening);
    sockets_describe(&server->sockets, &listening);
    printf("neap: listening on %.*s (%d worker%s, generation %d)\n", (int)listening.len,
           listening.data, server->worker_count, server->worker_count == 1 ? "" : "s",
           server->reload.serving);
    fflush(stdout);
    bytes_deinit(&listening);
}

static void on_serving(struct worker *worker, int err)
{
    struct server *server = worker_owner(worker);
    char text[160];
    if (err) {
        snprintf(text, sizeof text, "neap: worker %d cannot accept connections: %s\n",
                 worker_number(worker), strerror(-err));
        fail(server, text);
        return;
    }
    if (++server->serving < server->worker_count || server->stage != STAGE_STARTING)
        return;
    server->stage = STAGE_SERVING;
    loop_clear_deadline(&server->loop, &server->limit);
    deaf_start(&server->deaf);
    develop_learn(&server->develop);
    print_ready(server);
}

static void on_step(struct worker *worker, enum worker_order order, const char *error)
{
    struct server *server = worker_owner(worker);
    reload_on_step(&server->reload, worker, order, error);
}

static void on_stop_wanted(struct worker *worker, int exit_code)
{
    struct server *server = worker_owner(worker);
    log_info("worker %d: the application wants to stop", worker_number(worker));
    if (server->exit_code == 0)
        server->exit_code = exit_code;
    begin_drain(server);
}

static void on_shortage(struct worker *worker)
{
    struct server *server = worker_owner(worker);
    uint64_t limit = server->config->limits.memory;
    if (server->stage == STAGE_SERVING && server->reload.state == RELOAD_IDLE &&
        relief_is_due(&server->relief, &server->loop, worker_number(worker), limit))
        server_reload(server, NULL, NULL);
}

static void on_stopped(struct worker *worker, bool is_clean)
{
    struct server *server = worker_owner(worker);
    if (!is_clean && server->exit_code == 0)
        server->exit_code = EXIT_UNCLEAN;
    server->workers[worker_number(worker) - 1] = NULL;
    worker_join(worker);
    if (--server->alive == 0)
        loop_stop(&server->loop);
}

static const struct worker_events worker_events = {.on_booted = on_booted,
                                                   .on_serving = on_serving,
                                                   .on_step = on_step,
                                                   .on_stop_wanted = on_stop_wanted,
                                                   .on_shortage = on_shortage,
                                                   .on_stopped = on_stopped};

static struct worker *start_worker(struct server *server, int index)
{
    const struct cli *cli = server->options.cli;
    const struct worker_options options = {
        .generation = {.vm = {.lua_dir = server->options.lua_dir,
                              .library = server->library,
                              .threads = server->threads},
                       .number = 1,
                       .worker = index + 1,
                       .workers = server->worker_count,
                       .mode = cli->mode},
        .config = server->config,
        .hub = server->hub,
        .shelf = server->shelf,
        .output = &server->output,
        .input = &server->input,
        .argc = cli->arg_count,
        .argv = cli->args,
        .fds = cli->is_serving ? sockets_of(&server->sockets, index) : NULL,
        .main_loop = &server->loop,
        .events = &worker_events,
        .owner = server,
    };
    return worker_start(&options);
}

/* Starts them all; -1 when one could not (those before it are told to stop). */
static int start_workers(struct server *server)
{
    server->workers = mem_calloc((size_t)server->worker_count * sizeof *server->workers);
    server->reload.workers = server->deaf.workers = server->workers;
    for (int i = 0; i < server->worker_count; i++) {
        server->workers[i] = start_worker(server, i);
        if (!server->workers[i]) {
            fail(server,
                 "neap: cannot start the workers; is the limit of threads or memory reached?\n");
            return server->alive > 0 ? 0 : -1;
        }
        server->alive++;
    }
    return 0;
}

/* --- reloading --- */

static const struct config *on_reload_begin(void *owner, struct bytes *error)
{
    struct server *server = owner;
    return renewal_begin(&server->renewal, error);
}

static void on_reload_end(void *owner, bool serves)
{
    struct server *server = owner;
    renewal_end(&server->renewal, serves);
    server->config = server->renewal.config;
    shelf_set_limit(server->shelf, server->config->limits.stores);
    hub_set_limits(server->hub, server->config->limits.topics, server->config->limits.topic_count);
    quota_set_most(&server->output, (size_t)server->config->limits.output);
    quota_set_most(&server->input, (size_t)server->config->limits.input);
}

static const struct reload_events reload_events = {.on_begin = on_reload_begin,
                                                   .on_end = on_reload_end};

/* --- neap dev --- */

static void on_dev_reloaded(void *arg, int generation, const char *error)
{
    struct server *server = arg;
    develop_tell(&server->develop, server->reload.serving, generation, error);
}

static void on_code_changed(void *owner)
{
    struct server *server = owner;
    reload_restart(&server->reload);
    server_reload(server, on_dev_reloaded, server);
}

static void on_assets_changed(void *owner)
{
    struct server *server = owner;
    develop_tell(&server->develop, server->reload.serving, 0, NULL);
}

static void start_developing(struct server *server)
{
    const struct cli *cli = server->options.cli;
    server->develop = (struct develop){.loop = &server->loop,
                                       .on_code = on_code_changed,
                                       .on_assets = on_assets_changed,
                                       .owner = server};
    const char *config_file = server->config->file ? server->config->file : CONFIG_DEFAULT_FILE;
    develop_start(&server->develop, cli->arg_count > 0 ? cli->args[0] : NULL, config_file,
                  server->hub, server->shelf);
}

/* --- the control socket --- */

static struct worker *next_worker(void *owner, int *place)
{
    struct server *server = owner;
    while (*place < server->worker_count) {
        struct worker *worker = server->workers[(*place)++];
        if (worker)
            return worker;
    }
    return NULL;
}

static void on_reloaded(void *arg, int generation, const char *error)
{
    struct inquiry *inquiry = arg;
    const struct server *server = inquiry_owner(inquiry);
    struct bytes notes;
    (void)generation;
    bytes_init(&notes);
    if (error)
        bytes_printf(&notes, "generation %d goes on serving\n", server->reload.serving);
    else
        bytes_append(&notes, server->renewal.notes.data, server->renewal.notes.len);
    inquiry_finish(inquiry, error, &notes);
    bytes_deinit(&notes);
}

static void on_reload(void *owner, struct inquiry *inquiry)
{
    log_info("neap reload: loading the application anew");
    server_reload(owner, on_reloaded, inquiry);
}

static void on_describe(void *owner, struct bytes *notes)
{
    const struct server *server = owner;
    deaf_describe(&server->deaf, notes);
}

static const struct control_events control_events = {
    .next_worker = next_worker, .reload = on_reload, .describe = on_describe};

static void open_control(struct server *server)
{
    struct bytes listening;
    bytes_init(&listening);
    sockets_describe(&server->sockets, &listening);
    bytes_append(&listening, "", 1);
    server->control.events = &control_events;
    server->control.owner = server;
    control_open(&server->control, &server->loop, server->config->state, listening.data);
    bytes_deinit(&listening);
}

/* --- life --- */

/* What the end must prove: that nothing is open any more. */
static void check_tallies(struct server *server)
{
    for (int kind = 0; kind < TALLY_KINDS; kind++) {
        int64_t left = tally_count((enum tally_kind)kind);
        if (left == 0)
            continue;
        log_error("stopped with something left open: %lld of kind \"%s\"", (long long)left,
                  tally_name((enum tally_kind)kind));
        server->exit_code = EXIT_UNCLEAN;
    }
}

static void check_quota(struct server *server, const struct quota *quota)
{
    if (quota_used(quota) == 0)
        return;
    log_error("stopped with %zu bytes of %s in use", quota_used(quota), quota->name);
    server->exit_code = EXIT_UNCLEAN;
}

static int start(struct server *server)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    if (crypto_begin() != 0)
        return -1;
    int err = work_begin();
    if (err) {
        fprintf(stderr, "neap: cannot start a thread for files and databases: %s\n",
                thread_error(err));
        return -1;
    }
    if (server->options.cli->is_serving &&
        sockets_bind(&server->sockets, &server->config->listen, server->worker_count) != 0)
        return -1;
    err = signals_start(&server->signals, &server->loop, numbers, 3, on_signal);
    if (err) {
        fprintf(stderr, "neap: cannot watch signals: %s\n", strerror(-err));
        return -1;
    }
    if (server->options.cli->is_serving)
        loop_set_deadline(&server->loop, &server->limit,
                          server->config->timeouts.startup + server->config->timeouts.grace +
                              EXTRA_MS);
    loop_set_deadline(&server->loop, &server->tick, WATCHDOG_TICK_MS);
    if (server->options.cli->is_serving)
        open_control(server);
    if (strcmp(server->options.cli->mode, "dev") == 0)
        start_developing(server);
    if (start_workers(server) == 0)
        return 0;
    signals_stop(&server->signals);
    return -1;
}

static void server_init(struct server *server, const struct server_options *options)
{
    *server = (struct server){.options = *options, .config = options->config};
    server->worker_count = options->cli->is_serving ? (int)options->config->workers : 1;
    server->hub = hub_new();
    hub_set_limits(server->hub, options->config->limits.topics,
                   options->config->limits.topic_count);
    server->shelf = shelf_new(options->config->limits.stores);
    quota_init(&server->output, "limits.output", (size_t)options->config->limits.output);
    quota_init(&server->input, "limits.input", (size_t)options->config->limits.input);
    server->threads = threads_new((unsigned)options->config->task_threads);
    server->library = library_new(options->lua_dir);
    server->reload = (struct reload){.loop = &server->loop,
                                     .events = &reload_events,
                                     .owner = server,
                                     .worker_count = server->worker_count};
    reload_init(&server->reload);
    server->deaf = (struct deaf){
        .loop = &server->loop, .count = server->worker_count, .sockets = &server->sockets};
    server->renewal = (struct renewal){.inputs = options->inputs, .config = options->config};
    renewal_init(&server->renewal);
    deadline_init(&server->limit, on_limit);
    deadline_init(&server->tick, on_tick);
}

/* What runs there was told to stop when its task was cancelled. */
static void end_threads(struct server *server)
{
    if (threads_end(server->threads, THREADS_MS))
        return;
    log_error("a function of task.thread does not come to its end: one call of C, which cannot be "
              "stopped");
    log_stop();
    _exit(EXIT_UNCLEAN);
}

static void server_deinit(struct server *server)
{
    end_threads(server); /* they may use stores */
    library_free(server->library);
    reload_deinit(&server->reload);
    sockets_deinit(&server->sockets);
    hub_free(server->hub);
    shelf_free(server->shelf);
    mem_free(server->workers);
    renewal_deinit(&server->renewal);
}

int server_run(const struct server_options *options)
{
    struct server server;
    log_exempt_thread();
    server_init(&server, options);
    int err = loop_init(&server.loop, &server);
    if (err) {
        fprintf(stderr, "neap: cannot make an event loop: %s\n", strerror(-err));
        server_deinit(&server);
        return EXIT_FAILED;
    }
    if (start(&server) == 0) {
        loop_run(&server.loop);
        signals_stop(&server.signals);
    } else {
        server.exit_code = EXIT_FAILED;
    }
    develop_stop(&server.develop);
    control_close(&server.control);
    loop_clear_deadline(&server.loop, &server.limit);
    loop_clear_deadline(&server.loop, &server.tick);
    loop_deinit(&server.loop);
    server_deinit(&server);
    check_tallies(&server);
    check_quota(&server, &server.output);
    check_quota(&server, &server.input);
    return server.exit_code;
}
