/* What passes from one generation to the next: see handover.h. */
#include "life/handover.h"

#include "base/log.h"
#include "base/mem.h"
#include "http/guest.h"
#include "life/kept.h"
#include "task/fault.h"
#include "task/shortage.h"
#include "task/task.h"
#include "task/vm.h"
#include "value/value.h"
#include "web/app.h"

#include <lauxlib.h>

#define EXTRA_MS 1000 /* beyond the grace that hooks are given */

/* ---- the application's hooks ---- */

static void handover_tell(struct loop_job *job)
{
    struct handover *handover = container_of(job, struct handover, done_job);
    loop_clear_deadline(handover->to->loop, &handover->limit);
    char *error = handover->error;
    handover->error = NULL;
    bytes_deinit(&handover->data);
    handover->on_done(handover, error); /* may start the next */
    mem_free(error);
}

/* `handover->error` says how. */
static void handover_finish(struct handover *handover)
{
    handover->done_job.run = handover_tell;
    loop_defer(handover->to->loop, &handover->done_job);
}

/* In the task: a hook raised. Stack: error, traceback. */
static int hook_failed(lua_State *L, struct task *task)
{
    struct handover *handover = task->owner;
    fault_push_text(L, 1);
    handover->error = mem_strdup(lua_tostring(L, -1));
    return 0;
}

/* `from` could not give what it holds: the end, unless it is out of memory. Then it would never
 * be able to, and a next generation with nothing is better than none. */
static void fail_giving(struct handover *handover)
{
    if (shortage_is_certain(handover->from)) {
        log_warn("reload: the next generation begins without what on_handoff and neap.keep would "
                 "have given it, for lack of memory: %s",
                 handover->error);
        mem_free(handover->error);
        handover->error = NULL;
        bytes_deinit(&handover->data); /* as far as it came */
    }
    handover_finish(handover);
}

/* Whether all is well so far; else `error` says why not. */
static bool has_succeeded(struct handover *handover, const struct task *task, int status)
{
    handover->task = NULL;
    if (status != LUA_OK && !handover->error)
        handover->error =
            mem_strdup(task->is_cancelled ? "cancelled" : "a hook failed, see the log");
    return !handover->error;
}

static struct task *start_hooks(struct handover *handover, struct vm *vm, const char *name,
                                void (*on_end)(struct task *task, int status))
{
    struct task *task = task_new(vm, name);
    if (!task) {
        handover->error = mem_strdup("not enough memory");
        if (vm == handover->from)
            fail_giving(handover);
        else
            handover_finish(handover);
        return NULL;
    }
    task->owner = handover;
    task->on_error = hook_failed;
    task->on_end = on_end;
    handover->task = task;
    return task;
}

static void adopted(struct task *task, int status)
{
    has_succeeded(task->owner, task, status);
    handover_finish(task->owner);
}

static int adopt_returned(lua_State *L, int status, lua_KContext context)
{
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

/* Stack: handover. */
static int adopt_main(lua_State *L)
{
    const struct handover *handover = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, handover->to->app->adopt_ref);
    value_push(L, handover->data.data, handover->data.len);
    lua_callk(L, 1, 0, 0, adopt_returned);
    return 0;
}

static void start_adopting(struct handover *handover)
{
    if (handover->data.len == 0 || handover->to->app->adopt_ref == LUA_NOREF) {
        handover_finish(handover);
        return;
    }
    struct task *task = start_hooks(handover, handover->to, "on_adopt", adopted);
    if (!task)
        return;
    lua_pushcfunction(task->co, adopt_main);
    lua_pushlightuserdata(task->co, handover);
    task_start_later(task, 1);
}

/* The hooks gave a table, which is all there is on the task's stack. */
static void given(struct task *task, int status)
{
    struct handover *handover = task->owner;
    char error[VALUE_ERROR_SIZE];
    if (!has_succeeded(handover, task, status)) {
        fail_giving(handover);
        return;
    }
    if (value_write_named(task->co, 1, "on_handoff", &handover->data, error) == 0) {
        start_adopting(handover);
        return;
    }
    handover->error = mem_strdup(error);
    fail_giving(handover);
}

static void handover_on_limit(struct deadline *deadline)
{
    struct handover *handover = container_of(deadline, struct handover, limit);
    if (handover->task)
        task_cut(handover->task); /* its end leads on */
}

void handover_start(struct handover *handover, struct vm *from, struct vm *to,
                    handover_done_fn on_done)
{
    char error[KEPT_ERROR_SIZE];
    *handover = (struct handover){.from = from, .to = to, .on_done = on_done};
    deadline_init(&handover->limit, handover_on_limit);
    shortage_relax(from); /* a state that is full could not say what it holds */
    if (!kept_can_travel(from, error)) {
        handover->error = mem_strdup(error);
        fail_giving(handover);
    } else if (from->app->handoff_ref == LUA_NOREF) {
        handover_finish(handover);
    } else {
        struct task *task = start_hooks(handover, from, "on_handoff", given);
        if (!task)
            return;
        lua_rawgeti(task->co, LUA_REGISTRYINDEX, from->app->handoff_ref);
        task_start_later(task, 0);
    }
}

void handover_cancel(struct handover *handover)
{
    struct task *task = handover->task;
    if (!task)
        return;
    loop_set_deadline(task->vm->loop, &handover->limit, (uint64_t)task->grace_ms + EXTRA_MS);
    task_cancel(task);
}

/* ---- the connections ---- */

static void reroute_guest(struct guest *guest, void *arg)
{
    const uint16_t *numbers = arg;
    guest->route = numbers[guest->route];
    guest->events->on_new_owner(guest);
}

/* Guests have the number of their route; the new application numbers again. 0: it is gone. */
static void reroute(const struct app *from, const struct app *to, struct http_server *http)
{
    uint16_t *numbers = mem_calloc(((size_t)from->count + 1) * sizeof(*numbers));
    for (int i = 1; i <= from->count; i++)
        numbers[i] = (uint16_t)app_find_route(to, &from->routes[i]);
    http_server_each_guest(http, reroute_guest, numbers);
    mem_free(numbers);
}

void handover_switch(struct vm *from, struct vm *to, struct http_server *http)
{
    http->owner = to;
    if (!from)
        return;
    kept_take_over(from, to);
    to->options.predecessor = NULL;
    reroute(from->app, to->app, http);
}
