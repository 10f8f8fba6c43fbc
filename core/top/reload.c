/* A reload, as the main thread sees it: see reload.h. Each step is ordered from the first worker,
 * from the others after that one has answered, and goes on to the next when all have. What needs no
 * code of the application (to switch, to discard) is ordered from all at once. */
#include "top/reload.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define HELD_MS 3000 /* an order wakes its worker: without a turn for so long it is held up */

struct wish {
    struct list link;
    reload_done_fn on_done;
    void *arg;
};

/* A worker's answer to the step under way. */
struct reload_answer {
    bool is_awaited;
    uint32_t turns; /* of its loop, at the last look */
};

/* ---- steps ---- */

static void reload_begin(struct reload *reload);

static enum worker_order order_of(const struct reload *reload)
{
    switch (reload->state) {
    case RELOAD_BUILDING: return WORKER_BUILD;
    case RELOAD_HANDING_OVER: return WORKER_HAND_OVER;
    case RELOAD_SWITCHING: return WORKER_SWITCH;
    case RELOAD_DISCARDING: return WORKER_DISCARD;
    default: return WORKER_ORDERS;
    }
}

/* Whether code runs that has never run before. */
static bool is_trying(const struct reload *reload)
{
    return reload->state == RELOAD_BUILDING || reload->state == RELOAD_HANDING_OVER;
}

/* The limit is for one generation to be loaded, so each step has all of it, and so have the others
 * after the first. */
static void set_limit(struct reload *reload)
{
    uint64_t limit_ms = is_trying(reload) ? reload->config->timeouts.startup : HELD_MS;
    loop_set_deadline(reload->loop, &reload->limit, limit_ms);
}

static void give(struct reload *reload, int index)
{
    struct worker *worker = reload->workers[index];
    reload->answers[index] =
        (struct reload_answer){.is_awaited = true, .turns = loop_turns(worker_loop(worker))};
    if (reload->state == RELOAD_BUILDING)
        worker_build(worker, reload->last, reload->config);
    else
        worker_order(worker, order_of(reload));
}

/* The step under way is for the first `count` workers. */
static void order_up_to(struct reload *reload, int count)
{
    set_limit(reload);
    while (reload->ordered < count)
        give(reload, reload->ordered++);
}

static void enter(struct reload *reload, enum reload_state state, int count)
{
    reload->state = state;
    reload->ordered = 0;
    order_up_to(reload, count);
}

static void discard(struct reload *reload, const char *error)
{
    int begun = reload->state == RELOAD_BUILDING ? reload->ordered : reload->worker_count;
    mem_free(reload->error);
    reload->error = mem_strdup(error);
    enter(reload, RELOAD_DISCARDING, begun);
}

static void tell_all(struct reload *reload, struct list *wishes, const char *error)
{
    struct list now; /* some may wish another */
    struct list *link;
    list_take(&now, wishes);
    while ((link = list_shift(&now))) {
        struct wish *wish = container_of(link, struct wish, link);
        if (wish->on_done)
            wish->on_done(wish->arg, reload->last, error);
        mem_free(wish);
    }
}

/* The end of one; error: NULL, or why the old generation goes on, if nobody has been told yet. */
static void reload_end(struct reload *reload, bool serves, const char *error)
{
    loop_clear_deadline(reload->loop, &reload->limit);
    reload->state = RELOAD_IDLE;
    reload->events->on_end(reload->owner, serves);
    tell_all(reload, &reload->wishes, error);
    if (reload->state == RELOAD_IDLE && !list_is_empty(&reload->pending))
        reload_begin(reload);
}

static void succeed(struct reload *reload)
{
    uint64_t took_ms = loop_now_ms(reload->loop) - reload->began_ms;
    reload->serving = reload->last;
    log_info("generation %d serves, after %llu ms", reload->serving, (unsigned long long)took_ms);
    reload_end(reload, true, NULL);
}

/* Gives the error to the caller; NULL: this has been said. */
static char *say_failed(struct reload *reload)
{
    char *error = reload->error;
    if (!error)
        return NULL;
    size_t len = strlen(error);
    reload->error = NULL;
    while (len > 0 && error[len - 1] == '\n')
        len--;
    int prefix = strncmp(error, "neap: ", 6) == 0 ? 6 : 0;
    log_error("generation %d failed, generation %d goes on serving: %.*s", reload->last,
              reload->serving, (int)len - prefix, error + prefix);
    return error;
}

static void reload_fail(struct reload *reload)
{
    char *error = say_failed(reload);
    reload_end(reload, false, error);
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
    reload->config = read_settings(reload);
    if (reload->config)
        enter(reload, RELOAD_BUILDING, 1);
    else
        reload_fail(reload);
}

/* All that were ordered have answered. */
static void reload_go_on(struct reload *reload)
{
    if (is_trying(reload) && reload->ordered < reload->worker_count) {
        order_up_to(reload, reload->worker_count);
        return;
    }
    switch (reload->state) {
    case RELOAD_BUILDING: enter(reload, RELOAD_HANDING_OVER, 1); break;
    case RELOAD_HANDING_OVER: enter(reload, RELOAD_SWITCHING, reload->worker_count); break;
    case RELOAD_SWITCHING: succeed(reload); break;
    default: reload_fail(reload); break;
    }
}

/* From the one after `before` on; -1: nobody. */
static int next_awaited(const struct reload *reload, int before)
{
    for (int i = before + 1; i < reload->ordered; i++)
        if (reload->answers[i].is_awaited)
            return i;
    return -1;
}

/* An answer to a step that was given up meanwhile is of no interest. */
void reload_on_step(struct reload *reload, const struct worker *worker, enum worker_order order,
                    const char *error)
{
    if (order != order_of(reload))
        return;
    reload->answers[worker_number(worker) - 1].is_awaited = false;
    if (error)
        discard(reload, error);
    else if (next_awaited(reload, -1) < 0)
        reload_go_on(reload);
}

/* ---- workers that do not answer ---- */

#define NAME_SIZE (WORKER_BUSY_SIZE + 40)

/* "worker 2", and what it is inside of if that is one call that does not end. */
static void write_name(const struct reload *reload, int index, char name[NAME_SIZE])
{
    char busy[WORKER_BUSY_SIZE];
    worker_write_busy(reload->workers[index], busy);
    snprintf(name, NAME_SIZE, "worker %d%s%s%s", index + 1, busy[0] ? " (held up in " : "", busy,
             busy[0] ? ")" : "");
}

static void give_up(struct reload *reload)
{
    char name[NAME_SIZE], text[NAME_SIZE + 160];
    write_name(reload, next_awaited(reload, -1), name);
    snprintf(text, sizeof(text),
             "neap: not ready after %.3g s: %s is still %s. Allow more with timeouts.startup, or "
             "move slow work out of loading.\n",
             (double)reload->config->timeouts.startup / 1000, name,
             reload->state == RELOAD_BUILDING ? "loading" : "handing over");
    discard(reload, text);
}

static int find_held_up(const struct reload *reload)
{
    int found = -1;
    for (int i = next_awaited(reload, -1); i >= 0; i = next_awaited(reload, i)) {
        uint32_t turns = loop_turns(worker_loop(reload->workers[i]));
        if (turns == reload->answers[i].turns)
            found = i;
        reload->answers[i].turns = turns;
    }
    return found;
}

/* Those who wait for the one under way: it is decided, whenever the last worker follows. */
static void tell_outcome(struct reload *reload, const char *name)
{
    char *error = say_failed(reload);
    if (!list_is_empty(&reload->wishes) && reload->state == RELOAD_SWITCHING)
        log_warn("generation %d serves, but in %s only when it answers again", reload->last, name);
    tell_all(reload, &reload->wishes, error);
    mem_free(error);
}

static void refuse_pending(struct reload *reload, const char *name)
{
    char text[NAME_SIZE + 200];
    if (list_is_empty(&reload->pending))
        return;
    snprintf(text, sizeof(text),
             "neap: nothing new is loaded, as %s has not %s generation %d yet. When that never "
             "ends, restart the server.\n",
             name, reload->state == RELOAD_SWITCHING ? "taken over" : "given up", reload->last);
    log_error("%.*s", (int)strlen(text) - 7, text + 6);
    tell_all(reload, &reload->pending, text);
}

static void reload_on_limit(struct deadline *deadline)
{
    struct reload *reload = container_of(deadline, struct reload, limit);
    char name[NAME_SIZE];
    if (is_trying(reload)) {
        give_up(reload);
        return;
    }
    int index = find_held_up(reload);
    set_limit(reload);
    if (index < 0)
        return;
    write_name(reload, index, name);
    tell_outcome(reload, name);
    refuse_pending(reload, name);
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
    reload->answers = mem_calloc((size_t)reload->worker_count * sizeof(*reload->answers));
    deadline_init(&reload->limit, reload_on_limit);
    list_init(&reload->wishes);
    list_init(&reload->pending);
}

void reload_deinit(struct reload *reload)
{
    reload_stop(reload);
    mem_free(reload->answers);
    mem_free(reload->error);
}
