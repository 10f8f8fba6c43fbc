/* Waiting: one record per task, armed by a binding, ended by exactly one of wake, timeout and
 * cancel. How a park leaves the coroutine that asks for it, through every coroutine it is nested
 * in, up to the scheduler. */
#include "net/conn.h"
#include "task/origin.h"
#include "task/stop.h"
#include "task/task.h"
#include "task/vm.h"

#include <lauxlib.h>
#include <stdlib.h>

#define CALLS_MAX 256
#define CALLS_LOOK 8 /* between two looks at the clock */
#define CROWDED_NS (TURN_SLICE_NS / 8)
#define GONE_MAX 100000

/* The marks: their addresses are what lies on top of a parked coroutine's stack. */
static const char parked_here;
static const char parked_below;

/* ---- ending a wait ---- */

static void on_timeout(struct deadline *deadline)
{
    struct wait *wait = container_of(deadline, struct wait, deadline);
    if (wait->conn)
        conn_catch_up(wait->conn); /* may end the wait */
    task_wait_end(wait, WAIT_TIMEOUT);
}

void task_wait_init(struct wait *wait)
{
    list_init(&wait->link);
    wait->outcome = WAIT_WOKEN; /* nothing to end */
    deadline_init(&wait->deadline, on_timeout);
}

bool task_wait_is_linked(const struct wait *wait)
{
    return !list_is_empty(&wait->link);
}

void task_wait_end(struct wait *wait, enum wait_outcome outcome)
{
    struct task *task = task_of_wait(wait);
    if (wait->outcome != WAIT_PENDING)
        return;
    wait->outcome = outcome;
    if (deadline_is_set(&wait->deadline))
        loop_clear_deadline(task->vm->loop, &wait->deadline);
    list_remove(&wait->link);
    if (outcome != WAIT_WOKEN && wait->undo != NULL)
        wait->undo(wait);
    if (task->state == TASK_PARKED) /* else it is still on its way into task_park */
        task_make_ready(task);
}

void task_wake_wait(struct wait *wait, intptr_t result)
{
    if (wait->outcome != WAIT_PENDING)
        return;
    wait->result = result;
    task_wait_end(wait, WAIT_WOKEN);
}

/* ---- beginning one ---- */

static _Noreturn void wait_refuse(lua_State *L, const char *why)
{
    origin_push(L);
    lua_pushstring(L, lua_rawlen(L, -1) > 0 ? ": " : "");
    lua_pushstring(L, why);
    lua_concat(L, 3);
    lua_error(L);
    abort(); /* lua_error does not say that it never returns */
}

int task_raise_cancel(lua_State *L)
{
    task_begin_unwinding(task_of(L));
    task_push_cancel(L);
    return lua_error(L);
}

struct wait *task_wait(lua_State *L)
{
    struct vm *vm = vm_of(L);
    struct task *task = vm->current;
    if (vm->loop == NULL)
        wait_refuse(L, "cannot wait inside task.thread, which has a thread for itself: use what "
                       "blocks, "
                       "or wait in the task that calls it");
    if (task == NULL)
        wait_refuse(L,
                    "cannot wait here: only tasks can (handlers, jobs and the top level of modules "
                    "run in one)");
    if (!vm->can_park || !lua_isyieldable(L))
        wait_refuse(L,
                    "cannot wait inside a C function's callback (table.sort, string.gsub, a __gc "
                    "handler, ...): "
                    "do the waiting before or after");
    if (atomic_load_explicit(&vm->watch.running, memory_order_relaxed) != L)
        wait_refuse(L, "cannot wait inside a coroutine that a C module resumes");
    if (task_must_unwind(task))
        task_raise_cancel(L);
    struct wait *wait = &task->wait;
    wait->undo = NULL;
    wait->lost = NULL;
    wait->finish = NULL;
    wait->holds_on = NULL;
    wait->source = NULL;
    wait->conn = NULL;
    wait->outcome = WAIT_PENDING;
    return wait;
}

static int finish_wait(lua_State *L)
{
    struct wait *wait = &task_of(L)->wait;
    if (wait->outcome == WAIT_CANCELLED)
        return task_raise_cancel(L);
    return wait->finish != NULL ? wait->finish(L, wait) : 0;
}

static int park_continue(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    (void)ctx;
    lua_pop(L, 1); /* the mark */
    return finish_wait(L);
}

/* The results of a call that found its peer gone lie on the stack: see task_answer_gone. */
static int gone_finish(lua_State *L, struct wait *wait)
{
    (void)L;
    return (int)(intptr_t)wait->source;
}

int task_park(lua_State *L, uint64_t timeout_ms)
{
    struct task *task = task_of(L);
    if (task->wait.outcome != WAIT_PENDING) /* woken before it slept */
        return finish_wait(L);
    if (timeout_ms != WAIT_FOREVER)
        loop_set_deadline(task->vm->loop, &task->wait.deadline, timeout_ms);
    if (task->wait.finish != gone_finish)
        task->gone = 0;
    lua_pushlightuserdata(L, (void *)&parked_here);
    return lua_yieldk(L, 1, 0, park_continue);
}

/* ---- through nested coroutines ---- */

bool task_park_is_marked(lua_State *co)
{
    const void *mark = lua_gettop(co) > 0 ? lua_touserdata(co, -1) : NULL;
    return mark == &parked_here || mark == &parked_below;
}

lua_State *task_park_below(lua_State *co)
{
    return lua_touserdata(co, -1) == &parked_below ? lua_tothread(co, -2) : NULL;
}

lua_State *task_park_innermost(lua_State *co)
{
    while (lua_status(co) == LUA_YIELD && task_park_is_marked(co) && task_park_below(co) != NULL)
        co = task_park_below(co);
    return co;
}

int task_park_through(lua_State *L, lua_State *co, lua_KContext ctx, lua_KFunction k)
{
    lua_pushthread(co);
    lua_xmove(co, L, 1);
    lua_pushlightuserdata(L, (void *)&parked_below);
    return lua_yieldk(L, 1, ctx, k);
}

/* ---- letting others run ---- */

static bool can_yield(lua_State *L, const struct vm *vm)
{
    return vm->current != NULL && vm->can_park && lua_isyieldable(L) &&
           atomic_load_explicit(&vm->watch.running, memory_order_relaxed) == L;
}

bool task_look(lua_State *L)
{
    struct vm *vm = vm_of(L);
    if (vm->loop == NULL)
        return false;
    struct turn *turn = &vm->loop->turn;
    turn_look(turn);
    if (vm->calls_look == TASK_FIRST_LOOK)
        vm->calls_ns = turn->now_ns;
    vm->calls_look = vm->calls + CALLS_LOOK;
    uint64_t most_ns = turn->is_crowded ? CROWDED_NS : TURN_SLICE_NS;
    bool is_enough = vm->calls >= CALLS_MAX || turn->now_ns - vm->calls_ns >= most_ns;
    return is_enough && can_yield(L, vm);
}

int task_answer_gone(lua_State *L, int count)
{
    struct task *task = vm_of(L)->current;
    if (task != NULL && ++task->gone > GONE_MAX)
        return luaL_error(L, "called %d times after its end: leave the loop when the answer is nil",
                          GONE_MAX);
    if (!task_had_enough(L, 0))
        return count;
    struct wait *wait = task_wait(L);
    wait->finish = gone_finish;
    wait->source = (void *)(intptr_t)count;
    return task_pause(L, wait);
}

static void on_yield_turn(struct loop_job *job)
{
    struct vm *vm = container_of(job, struct vm, yield_job);
    struct list batch;
    struct list *link;
    list_take(&batch, &vm->yielded);
    while ((link = list_shift(&batch)) != NULL)
        task_wake_wait(container_of(link, struct wait, link), 0);
}

int task_yield(lua_State *L)
{
    return task_yield_then(L, NULL);
}

int task_yield_then(lua_State *L, int (*finish)(lua_State *L, struct wait *wait))
{
    struct wait *wait = task_wait(L);
    wait->finish = finish;
    return task_pause(L, wait);
}

int task_pause(lua_State *L, struct wait *wait)
{
    struct vm *vm = vm_of(L);
    list_push(&vm->yielded, &wait->link);
    vm->yield_job.run = on_yield_turn;
    loop_defer_next(vm->loop, &vm->yield_job);
    return task_park(L, WAIT_FOREVER);
}
