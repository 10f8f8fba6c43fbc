/* The scheduler: takes tasks out of the pool, runs them slice by slice and puts them back. Tasks
 * belong to their vm; everybody else holds a slot_handle. Here is the only lua_resume besides
 * coroutine.c's. */
#include "task/task.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/scarce.h"
#include "task/call.h"
#include "task/fault.h"
#include "task/shortage.h"
#include "task/stop.h"
#include "task/vm.h"

#include <assert.h>
#include <lauxlib.h>
#include <string.h>

#define TASK_POOL_MAX 256 /* coroutines kept for their next use */

/* ---- what runs in the coroutine: handler, body, arguments... ---- */

enum { AT_HANDLER = 1 };

static int run_on_error(lua_State *L)
{
    struct task *task = task_of(L);
    lua_pushstring(L, task->traceback != NULL ? task->traceback : "(no traceback: out of memory)");
    mem_free(task->traceback);
    task->traceback = NULL;
    return task->on_error(L, task);
}

static int on_error_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)ctx;
    struct task *task = task_of(L);
    if (status == LUA_OK || status == LUA_YIELD) {
        task->end_status = LUA_OK;
        return lua_gettop(L) - AT_HANDLER;
    }
    task->end_status = status;
    if (!stop_is_cancelled(L, -1))
        fault_log(L, task->name, -1, task->traceback);
    return 1;
}

/* stack: handler, error */
static int body_failed(lua_State *L, struct task *task, int status)
{
    bool is_failure = !stop_is_cancelled(L, -1);
    task->end_status = status;
    shortage_note(task->vm, L, status);
    if (!is_failure || task->on_error == NULL || task->is_unwinding) {
        if (is_failure)
            fault_log(L, task->name, -1, task->traceback);
        return 1;
    }
    lua_pushcfunction(L, run_on_error);
    lua_insert(L, -2); /* stack: handler, run_on_error, error */
    return on_error_done(L, lua_pcallk(L, 1, LUA_MULTRET, AT_HANDLER, 0, on_error_done), 0);
}

static int task_body_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)ctx;
    struct task *task = task_of(L);
    if (status != LUA_OK && status != LUA_YIELD)
        return body_failed(L, task, status);
    task->end_status = LUA_OK;
    task->vm->shortage.ended_well++;
    return lua_gettop(L) - AT_HANDLER;
}

/* An error that reaches the top of a coroutine runs no <close> handler; one caught here runs them
 * all. */
static int task_main(lua_State *L)
{
    int args = lua_gettop(L) - AT_HANDLER - 1;
    return task_body_done(L, lua_pcallk(L, args, LUA_MULTRET, AT_HANDLER, 0, task_body_done), 0);
}

bool task_is_bottom(lua_State *co)
{
    return lua_gettop(co) > 0 && lua_tocfunction(co, 1) == task_main;
}

/* ---- the pool ---- */

static int make_coroutine(lua_State *L)
{
    struct task *task = lua_touserdata(L, 1);
    lua_State *co = lua_newthread(L);
    task->co_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    task->co = co;
    return 0;
}

static void free_task(struct task *task)
{
    if (task->co != NULL)
        luaL_unref(task->vm->L, LUA_REGISTRYINDEX, task->co_ref);
    mem_free(task);
}

static struct task *make_task(struct vm *vm)
{
    struct task *task = mem_calloc(sizeof(*task));
    task->vm = vm;
    list_init(&task->link);
    list_init(&task->ready_link);
    list_init(&task->joiners);
    task_wait_init(&task->wait);
    deadline_init(&task->grace, task_on_grace_over);
    if (call_protected(vm, make_coroutine, task, "a new task") == 0)
        return task;
    free_task(task);
    shortage_note_memory(vm);
    return NULL;
}

static struct task *take_idle(struct vm *vm)
{
    struct list *link = list_shift(&vm->idle_tasks);
    if (link == NULL)
        return NULL;
    vm->idle_count--;
    return container_of(link, struct task, link);
}

/* The coroutine is kept unless an error went through its bottom: a reset one of 5.4.4 remembers
 * things. */
static void recycle(struct task *task, bool is_clean)
{
    struct vm *vm = task->vm;
    task->name = NULL;
    if (!is_clean || vm->idle_count >= TASK_POOL_MAX) {
        free_task(task);
        return;
    }
    lua_settop(task->co, 0);
    vm->idle_count++;
    task->link.next = vm->idle_tasks.next; /* at the front: the warmest is used first */
    task->link.prev = &vm->idle_tasks;
    vm->idle_tasks.next->prev = &task->link;
    vm->idle_tasks.next = &task->link;
}

void task_free_idle(struct vm *vm)
{
    struct task *task;
    while ((task = take_idle(vm)) != NULL)
        free_task(task);
}

struct task *task_new(struct vm *vm, const char *name)
{
    /* An allocation that is to fail may be that of the task, which a pool would hide. */
    struct task *task = scarce_is_armed(SCARCE_LUA) ? NULL : take_idle(vm);
    if (task == NULL && (task = make_task(vm)) == NULL)
        return NULL;
    task->name = name;
    task->state = TASK_NEW;
    task->handle = slots_put(&vm->task_slots, task);
    task->started_ms = loop_now_ms(vm->loop);
    task->parent = vm->current != NULL ? vm->current->handle : 0;
    task->kind = NULL;
    task->kind_id = 0;
    task->end_status = LUA_OK;
    task->grace_ms = vm->options.cancel_grace_ms;
    task->shields = 0;
    task->gone = 0;
    task->has_started = task->is_cancelled = task->is_unwinding = false;
    task->on_error = NULL;
    task->answers_errors = false;
    task->on_end = NULL;
    task->owner = NULL;
    list_push(&vm->tasks, &task->link);

    lua_pushcfunction(task->co, task_main);
    lua_pushcfunction(task->co, fault_handler);
    return task;
}

/* ---- ending ---- */

static void forget_notes(struct task *task)
{
    mem_free(task->traceback);
    mem_free(task->cause);
    task->traceback = task->cause = NULL;
    task->cause_of = NULL;
}

/* From here on its handle is dead. */
static void leave(struct task *task)
{
    struct vm *vm = task->vm;
    struct list *link;
    task->state = TASK_ENDED;
    slots_take(&vm->task_slots, task->handle);
    list_remove(&task->link);
    list_remove(&task->ready_link);
    if (deadline_is_set(&task->grace))
        loop_clear_deadline(vm->loop, &task->grace);
    while ((link = list_shift(&task->joiners)) != NULL)
        task_wake_wait(container_of(link, struct wait, link), 0);
}

void task_finish(struct task *task, int status, bool is_clean)
{
    leave(task);
    if (task->on_end != NULL)
        task->on_end(task, status);
    if (task->traceback != NULL || task->cause != NULL)
        forget_notes(task);
    recycle(task, is_clean);
}

static int log_escape(lua_State *L)
{
    struct task *task = lua_touserdata(L, 1);
    if (lua_checkstack(task->co, 1)) /* it stays there for on_end as well */
        lua_pushvalue(task->co, -1);
    lua_xmove(task->co, L, 1);
    fault_log(L, task->name, -1, task->traceback);
    return 0;
}

/* Even the scheduler's own frame failed: out of memory or C stack, mostly. */
static void finish_escaped(struct task *task, int status)
{
    if (status == LUA_ERRMEM)
        shortage_note_memory(task->vm);
    call_protected(task->vm, log_escape, task, task->name);
    vm_reset_coroutine(task->co, NULL); /* leaves the error value */
    task_finish(task, status, false);
}

void task_finish_unused(struct task *task)
{
    lua_settop(task->co, 0);
    task_push_cancel(task->co);
    task_finish(task, LUA_ERRRUN, true);
}

void task_drop(struct task *task)
{
    assert(task->state == TASK_NEW);
    task->on_end = NULL;
    task_finish_unused(task);
}

/* ---- running ---- */

/* One slice, until it parks or ends: the task can be gone after this. */
static void run_slice(struct task *task, int args)
{
    struct vm *vm = task->vm;
    int results;
    task->state = TASK_RUNNING;
    vm->current = task;
    vm->calls = 0;
    vm->calls_look = TASK_FIRST_LOOK;
    vm->can_park = true;
    watch_enter(&vm->watch, task->co);
    int status = lua_resume(task->co, vm->L, args, &results);
    watch_leave(&vm->watch);
    vm->current = NULL;

    if (status == LUA_OK) {
        task_finish(task, task->end_status, true);
    } else if (status != LUA_YIELD) {
        finish_escaped(task, status);
    } else {
        task->state = TASK_PARKED;
        if (!task_park_is_marked(task->co)) {
            log_error("%s: a C module yielded in a task, which only the scheduler can wait for",
                      task->name);
            task_cut(task);
        }
    }
}

static void run_task(struct task *task)
{
    if (task->has_started) {
        run_slice(task, 0);
        return;
    }
    if (task->is_cancelled) {
        task_finish_unused(task); /* cancelled means that it did not happen */
        return;
    }
    task->has_started = true;
    run_slice(task, task->args + AT_HANDLER + 1);
}

/* Those that had no time go on before those that they have woken. */
static void task_put_back(struct vm *vm, struct list *batch)
{
    struct list *link;
    while ((link = list_shift(&vm->ready)) != NULL)
        list_push(batch, link);
    list_take(&vm->ready, batch);
    loop_cancel_job(&vm->ready_job); /* the ones just woken ask for this turn */
    loop_defer_next(vm->loop, &vm->ready_job);
}

/* A reload wakes the handler of every WebSocket at once: nobody else shall wait for all of them. */
static void run_ready(struct loop_job *job)
{
    struct vm *vm = container_of(job, struct vm, ready_job);
    struct turn *turn = &vm->loop->turn;
    struct list batch;
    struct list *link;
    turn_begin(turn, TURN_TASKS);
    list_take(&batch, &vm->ready);
    while (!turn_is_over(turn, TURN_TASKS) && (link = list_shift(&batch)) != NULL) {
        run_task(container_of(link, struct task, ready_link)); /* any task can be gone after this */
        turn_ends(turn, TURN_TASKS);
    }
    if (!list_is_empty(&batch))
        task_put_back(vm, &batch);
}

void task_make_ready(struct task *task)
{
    struct vm *vm = task->vm;
    task->state = TASK_READY;
    list_push(&vm->ready, &task->ready_link);
    vm->ready_job.run = run_ready;
    loop_defer(vm->loop, &vm->ready_job);
}

void task_start(struct task *task, int args)
{
    if (watch_is_running(&task->vm->watch)) {
        task_start_later(task, args);
        return;
    }
    assert(task->state == TASK_NEW);
    task->args = args;
    run_task(task);
}

void task_start_later(struct task *task, int args)
{
    assert(task->state == TASK_NEW);
    task->args = args;
    task_make_ready(task);
}

const char *task_state_name(const struct task *task)
{
    switch (task->state) {
    case TASK_RUNNING: return "running";
    case TASK_PARKED: return "waiting";
    default: return "ready";
    }
}

struct task *task_of(lua_State *L)
{
    return vm_of(L)->current;
}
