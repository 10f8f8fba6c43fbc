/* What `neap ps`, `neap reload` and their like ask of the server. */
#include "top/server_state.h"

#include "base/log.h"

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
    struct caller *caller = arg;
    const struct server *server = control_owner_of(caller);
    struct bytes notes;
    (void)generation;
    bytes_init(&notes);
    if (error)
        bytes_printf(&notes, "generation %d goes on serving\n", server->reload.serving);
    else
        bytes_append(&notes, server->renewal.notes.data, server->renewal.notes.len);
    control_answer(caller, error, &notes);
    bytes_deinit(&notes);
}

static void on_reload(void *owner, struct caller *caller)
{
    log_info("neap reload: loading the application again");
    server_reload(owner, on_reloaded, caller);
}

static void on_describe(void *owner, struct bytes *notes)
{
    const struct server *server = owner;
    deaf_describe(&server->deaf, notes);
}

static const struct control_events control_events = {
    .next_worker = next_worker, .reload = on_reload, .describe = on_describe};

void server_open_control(struct server *server)
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
