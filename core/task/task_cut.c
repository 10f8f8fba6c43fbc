/* Tasks that end because they must: cancelling, and cutting off what has not ended after that. */
#include "task/task.h"

#include "base/log.h"
#include "task/call.h"
#include "task/fault.h"

#include <assert.h>

/* ---- cancelling ---- */

/* What is cancelled by a task that is itself being cancelled must be done before that one's time is
 * over. */
static uint32_t grace_within(const struct task *canceller, uint32_t grace_ms)
{
    if (canceller == NULL || !deadline_is_set(&canceller->grace))
        return grace_ms;
    uint64_t now_ms = loop_now_ms(canceller->vm->loop);
    uint64_t left_ms = canceller->grace.due_ms > now_ms ? canceller->grace.due_ms - now_ms : 0;
    left_ms -= left_ms / 10;
    return left_ms < grace_ms ? (uint32_t)left_ms : grace_ms;
}

void task_cancel(struct task *task)
{
    if (task->is_cancelled || task->state == TASK_ENDED)
        return;
    task->is_cancelled = true;
    task->grace_ms = grace_within(task->vm->current, task->grace_ms);
    if (task->state != TASK_PARKED || task->shields > 0)
        return;
    struct wait *wait = &task->wait;
    if (wait->holds_on == NULL || !wait->holds_on(wait))
        task_wait_end(wait, WAIT_CANCELLED);
}

void task_begin_unwinding(struct task *task)
{
    if (task->is_unwinding)
        return;
    task->is_unwinding = true;
    loop_set_deadline(task->vm->loop, &task->grace, task->grace_ms);
}

void task_cancel_all(struct vm *vm)
{
    list_each (link, &vm->tasks)
        task_cancel(container_of(link, struct task, link));
}

/* ---- cutting off ---- */

static int log_cut(lua_State *L)
{
    struct task *task = lua_touserdata(L, 1);
    fault_push_traceback(L, task->co);
    log_error("%s: cut off, still waiting after it was cancelled\n%s", task->name,
              lua_tostring(L, -1));
    return 0;
}

static int log_closer(lua_State *L)
{
    lua_State *co = lua_touserdata(L, 1);
    lua_xmove(co, L, 1);
    fault_log(L, "a <close> handler of a task that was cut off", -1, NULL);
    return 0;
}

/* Innermost first, as their <close> handlers would have run. */
static void reset_nested(struct vm *vm, lua_State *co)
{
    lua_State *below =
        lua_status(co) == LUA_YIELD && task_park_is_marked(co) ? task_park_below(co) : NULL;
    if (below != NULL)
        reset_nested(vm, below);
    watch_switch(&vm->watch, co);
    if (vm_reset_coroutine(co, vm->L) != LUA_OK && !task_is_cancel(co, -1))
        call_protected(vm, log_closer, co, "a <close> handler");
}

void task_cut(struct task *task)
{
    struct vm *vm = task->vm;
    assert(vm->current == NULL && task->state != TASK_RUNNING && task->state != TASK_ENDED);
    if (!task->has_started) {
        task_finish_unused(task);
        return;
    }
    call_protected(vm, log_cut, task, task->name);
    if (task->state == TASK_READY && task->wait.outcome == WAIT_WOKEN && task->wait.lost != NULL)
        task->wait.lost(&task->wait);
    task->state = TASK_RUNNING; /* so that the end of its wait does not make it ready */
    task_wait_end(&task->wait, WAIT_CANCELLED);
    list_remove(&task->ready_link);

    vm->current = task;
    vm->can_park = false;
    watch_enter(&vm->watch, task->co);
    reset_nested(vm, task->co);
    watch_leave(&vm->watch);
    vm->current = NULL;

    lua_settop(task->co, 0);
    task_push_cancel(task->co);
    task_finish(task, LUA_ERRRUN, false);
}

void task_on_grace_over(struct deadline *deadline)
{
    task_cut(container_of(deadline, struct task, grace));
}

void task_cut_all(struct vm *vm)
{
    vm->is_cut = true;
    while (!list_is_empty(&vm->tasks))
        task_cut(container_of(vm->tasks.next, struct task, link));
    vm->is_cut = false;
}
