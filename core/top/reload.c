/* A reload, as the main thread sees it: see reload.h. Each step is ordered from all workers, and
 * goes on to the next when all have answered. */
#include "top/reload.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

struct wish {
    struct list link;
    reload_done_fn on_done;
    void *arg;
};

/* ---- steps ---- */

static void reload_begin(struct reload *reload);

static void order_all(struct reload *reload, enum reload_state state, enum worker_order order)
{
    reload->state = state;
    reload->awaited = reload->worker_count;
    for (int i = 0; i < reload->worker_count; i++)
        worker_order(reload->workers[i], order);
}

static void discard(struct reload *reload, const char *error)
{
    mem_free(reload->error);
    reload->error = mem_strdup(error);
    order_all(reload, RELOAD_DISCARDING, WORKER_DISCARD);
}

static void reload_on_limit(struct deadline *deadline)
{
    struct reload *reload = container_of(deadline, struct reload, limit);
    char text[160];
    snprintf(text, sizeof(text),
             "neap: not ready after %.3g s. Allow more with timeouts.startup, or move slow work "
             "out of loading.\n",
             (double)reload->startup_ms / 1000);
    if (reload->state == RELOAD_BUILDING || reload->state == RELOAD_HANDING_OVER)
        discard(reload, text);
}

static void tell_all(struct reload *reload, struct list *wishes, const char *error)
{
    struct list *link;
    while ((link = list_shift(wishes))) {
        struct wish *wish = container_of(link, struct wish, link);
        if (wish->on_done)
            wish->on_done(wish->arg, reload->last, error);
        mem_free(wish);
    }
}

/* The end of one; error: NULL, or why the old generation goes on. */
static void reload_end(struct reload *reload, const char *error)
{
    struct list wishes;
    loop_clear_deadline(reload->loop, &reload->limit);
    reload->state = RELOAD_IDLE;
    reload->events->on_end(reload->owner, error == NULL);
    list_take(&wishes, &reload->wishes);
    tell_all(reload, &wishes, error); /* may wish another */
    if (reload->state == RELOAD_IDLE && !list_is_empty(&reload->pending))
        reload_begin(reload);
}

static void succeed(struct reload *reload)
{
    uint64_t took_ms = loop_now_ms(reload->loop) - reload->began_ms;
    reload->serving = reload->last;
    log_info("generation %d serves, after %llu ms", reload->serving, (unsigned long long)took_ms);
    reload_end(reload, NULL);
}

static void reload_fail(struct reload *reload)
{
    char *error = reload->error;
    size_t len = strlen(error);
    reload->error = NULL;
    while (len > 0 && error[len - 1] == '\n')
        len--;
    int prefix = strncmp(error, "neap: ", 6) == 0 ? 6 : 0;
    log_error("generation %d failed, generation %d goes on serving: %.*s", reload->last,
              reload->serving, (int)len - prefix, error + prefix);
    reload_end(reload, error);
    mem_free(error);
}

/* NULL: they are wrong, reload->error says why. */
static const struct config *read_settings(struct reload *reload)
{
    struct bytes error;
    bytes_init(&error);
    bytes_append_text(&error, "neap: ");
    const struct config *config = reload->events->on_begin(reload->owner, &error);
    if (!config)
        reload->error = mem_strndup(error.data, error.len);
    bytes_deinit(&error);
    return config;
}

static void reload_begin(struct reload *reload)
{
    list_take(&reload->wishes, &reload->pending);
    reload->last++;
    reload->began_ms = loop_now_ms(reload->loop);
    const struct config *config = read_settings(reload);
    if (!config) {
        reload_fail(reload);
        return;
    }
    reload->state = RELOAD_BUILDING;
    reload->awaited = reload->worker_count;
    reload->startup_ms = config->timeouts.startup;
    loop_set_deadline(reload->loop, &reload->limit, reload->startup_ms);
    for (int i = 0; i < reload->worker_count; i++)
        worker_build(reload->workers[i], reload->last, config);
}

static enum worker_order awaited_order(const struct reload *reload)
{
    switch (reload->state) {
    case RELOAD_BUILDING: return WORKER_BUILD;
    case RELOAD_HANDING_OVER: return WORKER_HAND_OVER;
    case RELOAD_SWITCHING: return WORKER_SWITCH;
    case RELOAD_DISCARDING: return WORKER_DISCARD;
    default: return WORKER_ORDERS;
    }
}

/* An answer to a step that was given up meanwhile is of no interest. */
void reload_on_step(struct reload *reload, enum worker_order order, const char *error)
{
    if (order != awaited_order(reload))
        return;
    if (error) {
        discard(reload, error);
        return;
    }
    if (--reload->awaited > 0)
        return;
    switch (reload->state) {
    case RELOAD_BUILDING: order_all(reload, RELOAD_HANDING_OVER, WORKER_HAND_OVER); break;
    case RELOAD_HANDING_OVER: order_all(reload, RELOAD_SWITCHING, WORKER_SWITCH); break;
    case RELOAD_SWITCHING: succeed(reload); break;
    default: reload_fail(reload); break;
    }
}

/* ---- for the server ---- */

void reload_start(struct reload *reload, reload_done_fn on_done, void *arg)
{
    struct wish *wish = mem_alloc(sizeof(*wish));
    *wish = (struct wish){.on_done = on_done, .arg = arg};
    list_push(&reload->pending, &wish->link);
    if (reload->state == RELOAD_IDLE)
        reload_begin(reload);
    else if (reload->state == RELOAD_STOPPED)
        tell_all(reload, &reload->pending, "neap: the server is stopping\n");
}

void reload_restart(struct reload *reload)
{
    if (reload->state == RELOAD_BUILDING)
        discard(reload, "neap: the files have changed again\n");
}

void reload_stop(struct reload *reload)
{
    reload->state = RELOAD_STOPPED;
    loop_clear_deadline(reload->loop, &reload->limit);
    tell_all(reload, &reload->wishes, "neap: the server is stopping\n");
    tell_all(reload, &reload->pending, "neap: the server is stopping\n");
}

void reload_init(struct reload *reload)
{
    reload->serving = reload->last = 1;
    deadline_init(&reload->limit, reload_on_limit);
    list_init(&reload->wishes);
    list_init(&reload->pending);
}

void reload_deinit(struct reload *reload)
{
    reload_stop(reload);
    mem_free(reload->error);
}
