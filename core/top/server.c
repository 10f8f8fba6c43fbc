/* The server: see server.h. A life is STARTING, SERVING, then one stage of stopping after the
 * other: each asks more firmly than the one before, and has a limited time. */
#include "top/server.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/tally.h"
#include "base/thread.h"
#include "config/renewal.h"
#include "dev/develop.h"
#include "live/hub.h"
#include "live/shelf.h"
#include "live/store.h"
#include "live/topic.h"
#include "net/crypto.h"
#include "net/signals.h"
#include "net/threads.h"
#include "net/work.h"
#include "task/library.h"
#include "task/watchdog.h"
#include "top/control.h"
#include "top/deaf.h"
#include "top/relief.h"
#include "top/reload.h"
#include "top/server_state.h"
#include "top/sockets.h"
#include "top/worker.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SWEEP_MS 5000
#define THREADS_MS 2000

/* --- signals --- */

static void on_stop_signal(struct server *server, int number)
{
    switch (++server->stop_signals) {
    case 1:
        log_info("%s: stopping", signals_name(number));
        server_stop_drain(server);
        break;
    case 2:
        log_warn("%s again: cancelling what is under way", signals_name(number));
        server_stop_cancel(server);
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
        log_info("SIGHUP: loading the application again");
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

static void server_on_booted(struct worker *worker, const struct generation_result *result)
{
    struct server *server = worker_owner(worker);
    switch (result->outcome) {
    case GENERATION_SERVE:
        if (++server->ready == server->worker_count && server->stage == STAGE_STARTING)
            server_order_all(server, WORKER_SERVE);
        break;
    case GENERATION_FAILED:
        server_stop_failed(server, result->message);
        if (result->exit_code)
            server->exit_code = result->exit_code;
        break;
    case GENERATION_DONE:
        server->exit_code = result->exit_code;
        server_stop_cancel(server);
        break;
    case GENERATION_CANCELLED:
        if (!server->options.cli->is_serving)
            server->exit_code = EXIT_FAILED; /* an interrupted script has not done its work */
        server_stop_cancel(server);
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
        server_stop_failed(server, text);
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
    server_stop_drain(server);
}

static void on_shortage(struct worker *worker)
{
    struct server *server = worker_owner(worker);
    uint64_t limit = server->config->limits.memory;
    if (server->stage == STAGE_SERVING && server->reload.state == RELOAD_IDLE &&
        relief_is_due(&server->relief, &server->loop, worker_number(worker), limit))
        server_reload(server, NULL, NULL);
}

static void server_on_stopped(struct worker *worker, bool is_clean)
{
    struct server *server = worker_owner(worker);
    if (!is_clean && server->exit_code == 0)
        server->exit_code = EXIT_UNCLEAN;
    server->workers[worker_number(worker) - 1] = NULL;
    worker_join(worker);
    if (--server->alive == 0)
        loop_stop(&server->loop);
}

static const struct worker_events worker_events = {.on_booted = server_on_booted,
                                                   .on_serving = on_serving,
                                                   .on_step = on_step,
                                                   .on_stop_wanted = on_stop_wanted,
                                                   .on_shortage = on_shortage,
                                                   .on_stopped = server_on_stopped};

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
            server_stop_failed(server,
                               "neap: cannot start the workers; is the limit of threads or memory "
                               "reached?\n");
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
                              SERVER_EXTRA_MS);
    loop_set_deadline(&server->loop, &server->tick, WATCHDOG_TICK_MS);
    if (server->options.cli->is_serving)
        server_open_control(server);
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
    deadline_init(&server->limit, server_stop_on_limit);
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
