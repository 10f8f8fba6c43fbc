/* The stages of a stop, as the main thread sees them. */
#include "top/server_state.h"

#include "base/log.h"

#include <stdio.h>
#include <unistd.h>

#define CUT_MS 1000 /* for what was cut off to close */
#define FORCE_MS 2000

/* --- stages of stopping --- */

void server_order_all(struct server *server, enum worker_order order)
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
    server_order_all(server, order);
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
void server_stop_drain(struct server *server)
{
    uint64_t most_ms = server->config->timeouts.stop * 2 / 3;
    uint64_t drain_ms = server->config->timeouts.drain;
    enter_stage(server, STAGE_DRAINING, WORKER_DRAIN,
                within_stop(server, drain_ms < most_ms ? drain_ms : most_ms));
}

void server_stop_cancel(struct server *server)
{
    enter_stage(server, STAGE_CANCELLING, WORKER_CANCEL,
                within_stop(server, server->config->timeouts.grace + SERVER_EXTRA_MS));
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

void server_stop_failed(struct server *server, const char *message)
{
    if (!server->has_failed && message)
        fputs(message, stderr); /* all workers load the same files: one report is enough */
    server->has_failed = true;
    server->exit_code = EXIT_FAILED;
    server_stop_cancel(server);
}

void server_stop_on_limit(struct deadline *deadline)
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
        server_stop_failed(server, text);
        break;
    case STAGE_DRAINING:
        log_warn("stopping: requests are still under way after timeouts.drain: cancelling them");
        server_stop_cancel(server);
        break;
    case STAGE_CANCELLING: begin_cut(server); break;
    case STAGE_CUTTING: begin_force(server); break;
    case STAGE_FORCING: give_up(server); break;
    default: break;
    }
}
