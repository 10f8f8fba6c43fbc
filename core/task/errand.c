/* The life of an errand, on two threads. Its lock guards what both look at: whether anybody still
 * waits, and the vm while it can be interrupted. After errand_abandon the thread touches nothing of
 * the caller, whose loop may be gone by then. */
#include "task/errand.h"

#include "base/mem.h"
#include "base/tally.h"
#include "net/loop.h"
#include "net/threads.h"
#include "task/core.h"
#include "task/fault.h"
#include "task/state.h"
#include "task/task.h"
#include "task/vm.h"
#include "task/watchdog.h"
#include "value/value.h"

#include <lauxlib.h>
#include <pthread.h>
#include <string.h>

struct errand {
    struct thread_job job;
    struct loop_message done; /* to the caller's loop; holds the thread's share meanwhile */
    struct threads *threads;
    struct loop *loop; /* the caller's */
    struct wait *wait; /* the caller's thread only; NULL: nobody waits */
    struct vm_options vm_options;
    struct errand_call call;
    struct errand_outcome outcome;
    pthread_mutex_t lock;
    int holders;
    bool is_abandoned;
    struct vm *vm;        /* while it runs */
    uint64_t began_ms;    /* and since when */
    struct deadline late; /* the caller's thread only; while somebody waits */
};

/* ---- on the thread ---- */

static void append_value(lua_State *L, struct errand_outcome *outcome, int index, char *error)
{
    if (value_write(L, index, &outcome->values, error) == 0) {
        outcome->count++;
        return;
    }
    luaL_error(L, "task.thread: result %d: %s", index - 1, error);
}

/* Message handler: keeps the traceback, leaves the error as it is. */
static int on_error(lua_State *L)
{
    struct errand *errand = vm_of(L)->options.errand;
    fault_push_stack(L, L, NULL, 1);
    const char *text = lua_tostring(L, -1);
    bytes_clear(&errand->outcome.traceback);
    bytes_append(&errand->outcome.traceback, text, strlen(text) + 1);
    lua_settop(L, 1);
    return 1;
}

static void push_function(lua_State *L, const struct errand_call *call)
{
    lua_getglobal(L, "require");
    lua_pushstring(L, call->module);
    lua_call(L, 1, 1);
    if (lua_type(L, -1) != LUA_TTABLE)
        luaL_error(L, "task.thread: module '%s' is a %s: it has to return a table of functions",
                   call->module, luaL_typename(L, -1));
    if (lua_getfield(L, -1, call->function) != LUA_TFUNCTION)
        luaL_error(L, "task.thread: module '%s' has no function '%s'", call->module,
                   call->function);
    lua_remove(L, -2);
}

static void push_args(lua_State *L, const struct errand_call *call)
{
    const char *at = call->args.data;
    const char *end = at + call->args.len;
    luaL_checkstack(L, call->arg_count + 4, "too many arguments");
    for (int i = 0; i < call->arg_count; i++)
        at = value_push_next(L, at, end);
}

/* stack: handler */
static int errand_main(lua_State *L)
{
    struct errand *errand = vm_of(L)->options.errand;
    const struct errand_call *call = &errand->call;
    char error[VALUE_ERROR_SIZE];
    core_install_portable(L);
    lua_getglobal(L, "package");
    lua_pushstring(L, call->path);
    lua_setfield(L, -2, "path");
    lua_pushstring(L, call->cpath);
    lua_setfield(L, -2, "cpath");
    lua_settop(L, 1);
    push_function(L, call);
    push_args(L, call);
    lua_call(L, call->arg_count, LUA_MULTRET);
    for (int i = 2; i <= lua_gettop(L); i++)
        append_value(L, &errand->outcome, i, error);
    return 0;
}

static int write_text_of(lua_State *L)
{
    struct errand *errand = vm_of(L)->options.errand;
    char error[VALUE_ERROR_SIZE];
    fault_push_text(L, 1);
    value_write(L, -1, &errand->outcome.values, error);
    return 0;
}

/* The error on top, as it is if it is plain data, else as text. */
static void keep_error(lua_State *L, struct errand_outcome *outcome)
{
    char error[VALUE_ERROR_SIZE];
    outcome->has_failed = true;
    outcome->count = 1;
    bytes_clear(&outcome->values);
    if (value_write(L, -1, &outcome->values, error) == 0)
        return;
    lua_pushcfunction(L, write_text_of);
    lua_insert(L, -2);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK)
        value_write_text("task.thread failed, and its error could not be shown", &outcome->values);
}

static void set_vm(struct errand *errand, struct vm *vm)
{
    pthread_mutex_lock(&errand->lock);
    errand->vm = vm;
    if (vm != NULL)
        errand->began_ms = vm_now_ms(vm);
    pthread_mutex_unlock(&errand->lock);
}

static bool is_abandoned(struct errand *errand)
{
    pthread_mutex_lock(&errand->lock);
    bool result = errand->is_abandoned;
    pthread_mutex_unlock(&errand->lock);
    return result;
}

/* All of it is one slice, so that one alarm of the watchdog stops it wherever it is. */
static void run_in(struct errand *errand, struct vm *vm)
{
    lua_State *L = vm->L;
    watch_enter(&vm->watch, L);
    set_vm(errand, vm);
    if (!is_abandoned(errand)) {
        lua_pushcfunction(L, on_error);
        lua_pushcfunction(L, errand_main);
        lua_pushvalue(L, 1);
        if (lua_pcall(L, 1, 0, 1) != LUA_OK)
            keep_error(L, &errand->outcome);
    }
    set_vm(errand, NULL);
    watch_leave(&vm->watch);
    lua_settop(L, 0);
}

static void errand_on_done(struct loop *loop, struct loop_message *message);

static void drop(struct errand *errand);

static void errand_run(struct thread_job *job)
{
    struct errand *errand = container_of(job, struct errand, job);
    struct vm *vm = state_new(&errand->vm_options);
    if (vm != NULL) {
        run_in(errand, vm);
        state_free(vm);
    } else {
        errand->outcome.has_failed = true;
        errand->outcome.count = 1;
        value_write_text("not enough memory for the Lua state of task.thread",
                         &errand->outcome.values);
    }
    pthread_mutex_lock(&errand->lock);
    bool is_awaited = !errand->is_abandoned;
    errand->done.run = errand_on_done;
    if (is_awaited)
        loop_post(errand->loop, &errand->done);
    pthread_mutex_unlock(&errand->lock);
    if (!is_awaited)
        drop(errand);
}

/* ---- on the caller's ---- */

/* What is not to end is stopped with whoever waits for it; until then it may compute, but not
 * unseen. */
static void on_late(struct deadline *deadline)
{
    struct errand *errand = container_of(deadline, struct errand, late);
    uint64_t limit_ms = errand->vm_options.watch_thread_ms;
    uint64_t ran_ms = 0; /* it may still wait for its thread */
    pthread_mutex_lock(&errand->lock);
    if (errand->vm != NULL)
        ran_ms = vm_now_ms(errand->vm) - errand->began_ms;
    if (ran_ms >= limit_ms)
        watchdog_show(errand->vm, (uint32_t)ran_ms);
    pthread_mutex_unlock(&errand->lock);
    if (ran_ms < limit_ms)
        loop_set_deadline(errand->loop, &errand->late, limit_ms - ran_ms);
}

static void errand_on_done(struct loop *loop, struct loop_message *message)
{
    struct errand *errand = container_of(message, struct errand, done);
    (void)loop;
    loop_clear_deadline(errand->loop, &errand->late);
    if (errand->wait != NULL)
        task_wake_wait(errand->wait, 0);
    errand->wait = NULL;
    drop(errand);
}

struct errand *errand_new(struct vm *vm)
{
    struct errand *errand = mem_calloc(sizeof(*errand));
    errand->threads = vm->options.threads;
    errand->loop = vm->loop;
    errand->vm_options = (struct vm_options){
        .lua_dir = vm->options.lua_dir,
        .library = vm->options.library,
        .memory_limit = vm->options.memory_limit,
        .watch_thread_ms = vm->options.watch_thread_ms,
        .shelf = vm->options.shelf,
        .errand = errand,
    };
    errand->job.run = errand_run;
    errand->holders = 1;
    list_init(&errand->job.link);
    deadline_init(&errand->late, on_late);
    bytes_init(&errand->call.args);
    bytes_init(&errand->outcome.values);
    bytes_init(&errand->outcome.traceback);
    pthread_mutex_init(&errand->lock, NULL);
    tally_add(TALLY_THREAD, 1);
    return errand;
}

static void errand_free(struct errand *errand)
{
    mem_free((char *)errand->vm_options.name);
    mem_free(errand->call.module);
    mem_free(errand->call.function);
    mem_free(errand->call.path);
    mem_free(errand->call.cpath);
    bytes_deinit(&errand->call.args);
    bytes_deinit(&errand->outcome.values);
    bytes_deinit(&errand->outcome.traceback);
    pthread_mutex_destroy(&errand->lock);
    mem_free(errand);
    tally_add(TALLY_THREAD, -1);
}

static void drop(struct errand *errand)
{
    pthread_mutex_lock(&errand->lock);
    bool is_last = --errand->holders == 0;
    pthread_mutex_unlock(&errand->lock);
    if (is_last)
        errand_free(errand);
}

void errand_drop(struct errand *errand)
{
    drop(errand);
}

struct errand_call *errand_call(struct errand *errand)
{
    return &errand->call;
}

const struct errand_outcome *errand_outcome(struct errand *errand)
{
    return &errand->outcome;
}

static char *name_of(const struct errand_call *call)
{
    struct bytes name;
    bytes_init(&name);
    bytes_printf(&name, "task.thread %s.%s", call->module, call->function);
    char *copy = mem_strndup(name.data, name.len);
    bytes_deinit(&name);
    return copy;
}

int errand_start(struct errand *errand, struct wait *wait)
{
    errand->wait = wait;
    errand->vm_options.name = name_of(&errand->call);
    errand->holders = 2; /* nobody else has it yet */
    int err = threads_add(errand->threads, &errand->job);
    if (err) {
        errand->wait = NULL;
        errand->holders = 1;
    } else if (errand->vm_options.watch_thread_ms != 0) {
        loop_set_deadline(errand->loop, &errand->late, errand->vm_options.watch_thread_ms);
    }
    return err;
}

void errand_abandon(struct errand *errand)
{
    errand->wait = NULL;
    loop_clear_deadline(errand->loop, &errand->late);
    if (threads_remove(errand->threads, &errand->job)) {
        drop(errand); /* the thread's share: it will not run */
        return;
    }
    pthread_mutex_lock(&errand->lock);
    errand->is_abandoned = true;
    if (errand->vm != NULL)
        watchdog_stop(errand->vm);
    pthread_mutex_unlock(&errand->lock);
}
