/* core.task: the primitives under lua/neap/task.lua. What Lua holds of a task is a reference
 * (`neap.task`): the task's handle, and after its end what became of it. */
#include "script/core.h"

#include "script/duration.h"
#include "script/fault.h"
#include "script/stop.h"
#include "script/task.h"
#include "script/vm.h"

#include <lauxlib.h>
#include <string.h>
#include <time.h>

#define TASK_TYPE "neap.task"

enum ref_outcome {
    REF_OPEN,
    REF_DONE,
    REF_FAILED
}; /* open although the task is gone: it was cancelled */
enum ref_value {
    REF_RESULTS = 1,
    REF_TRACEBACK,
    REF_NAME,
    REF_VALUES = REF_NAME
}; /* user values; 1 or the error */

struct task_ref {
    slot_handle task;
    enum ref_outcome outcome;
    int count;     /* results */
    bool is_owned; /* somebody will ask for the error: do not log it */
};

static const char refs_key; /* registry: handle -> reference, weak, so that task.self() is what
                               spawn returned */

/* ---- references ---- */

static struct task_ref *check_ref(lua_State *L, int index)
{
    return luaL_checkudata(L, index, TASK_TYPE);
}

static struct task *ref_task(lua_State *L, const struct task_ref *ref)
{
    return task_get(vm_of(L), ref->task);
}

static struct task_ref *push_ref(lua_State *L, slot_handle handle)
{
    struct task_ref *ref = lua_newuserdatauv(L, sizeof(*ref), REF_VALUES);
    *ref = (struct task_ref){.task = handle};
    luaL_setmetatable(L, TASK_TYPE);
    return ref;
}

/* task.self() finds the reference at `index` from now on. */
static void register_ref(lua_State *L, int index)
{
    const struct task_ref *ref = lua_touserdata(L, index);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &refs_key);
    lua_pushvalue(L, index);
    lua_rawseti(L, -2, (lua_Integer)ref->task);
    lua_pop(L, 1);
}

/* The name of a task from Lua: where its function begins. */
static const char *push_name(lua_State *L, int fn)
{
    lua_Debug ar;
    lua_pushvalue(L, fn);
    lua_getinfo(L, ">S", &ar);
    if (ar.linedefined > 0)
        return lua_pushfstring(L, "task %s:%d", ar.short_src, ar.linedefined);
    return lua_pushliteral(L, "task");
}

/* ---- spawning ---- */

/* stack: ref, results... They are kept while somebody has the reference. */
static int body_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    (void)ctx;
    struct task_ref *ref = lua_touserdata(L, 1);
    ref->count = lua_gettop(L) - 1;
    if (ref->count > 0) {
        lua_createtable(L, ref->count, 0);
        lua_insert(L, 2);
        for (int i = ref->count; i >= 1; i--)
            lua_rawseti(L, 2, i);
        lua_setiuservalue(L, 1, REF_RESULTS);
    }
    ref->outcome = REF_DONE;
    return 0;
}

/* stack: ref, fn, arguments... */
static int body_main(lua_State *L)
{
    register_ref(L, 1);
    lua_callk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, body_done);
    return body_done(L, LUA_OK, 0);
}

/* stack: error, traceback, ref */
static int on_error(lua_State *L, struct task *task)
{
    struct task_ref *ref = lua_touserdata(L, 3);
    if (!ref->is_owned && list_is_empty(&task->joiners))
        fault_log(L, task->name, 1, lua_tostring(L, 2));
    if (task_is_cancel(L, 1)) { /* the watchdog's: must not stop whoever raises it again */
        fault_push_text(L, 1);
        lua_replace(L, 1);
    }
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, 3, REF_RESULTS);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, 3, REF_TRACEBACK);
    ref->outcome = REF_FAILED;
    return 0;
}

/* Replaces `fn` and the arguments behind it, all the rest of the stack, by the reference of a new
 * task, which is named after the function `about`. */
static int spawn(lua_State *L, int about, int fn, bool is_owned)
{
    int args = lua_gettop(L) - fn;
    luaL_checktype(L, about, LUA_TFUNCTION);
    luaL_checktype(L, fn, LUA_TFUNCTION);
    luaL_checkstack(L, args + 8, "too many arguments");
    struct task_ref *ref = push_ref(L, 0);
    const char *name = push_name(L, about);
    lua_setiuservalue(L, -2, REF_NAME);
    lua_insert(L, fn); /* stack: ..., ref, fn, arguments */

    struct task *task = task_new(vm_of(L), name);
    if (task == NULL)
        return luaL_error(L, "not enough memory for another task");
    if (!lua_checkstack(task->co, args + 4)) {
        task_drop(task);
        return luaL_error(L, "not enough memory for another task");
    }
    ref->task = task->handle;
    ref->is_owned = task->must_start = is_owned;
    task->on_error = on_error;
    lua_pushvalue(L, fn);
    lua_xmove(L, task->co, 1);
    task_anchor(task);
    lua_pushcfunction(task->co, body_main);
    lua_pushvalue(L, fn);
    lua_xmove(L, task->co, 1);
    lua_xmove(L, task->co, args + 1);
    task_start_later(task, args + 2);
    return 1;
}

static int task_spawn(lua_State *L) /* spawn(fn, ...) -> t */
{
    return spawn(L, 1, 1, false);
}

/* spawn_owned(about, fn, ...) -> t, named after the function `about`. Its error is not logged, and
 * `fn` runs even when it was cancelled before: it is Lua's own and calls check() once it stands
 * firm. */
static int task_spawn_owned(lua_State *L)
{
    return spawn(L, 1, 2, true);
}

static int task_self(lua_State *L) /* self() -> t | nil */
{
    struct task *task = task_of(L);
    if (task == NULL)
        return 0;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &refs_key);
    if (lua_rawgeti(L, -1, (lua_Integer)task->handle) == LUA_TNIL) {
        push_ref(L, task->handle);
        register_ref(L, lua_gettop(L));
    }
    return 1;
}

static int task_id(lua_State *L) /* id() -> integer, never used again | nil */
{
    struct task *task = task_of(L);
    if (task == NULL)
        return 0;
    lua_pushinteger(L, (lua_Integer)task->handle);
    return 1;
}

/* ---- joining ---- */

/* stack: ref. -> true, ... | false, err */
static int push_outcome(lua_State *L)
{
    const struct task_ref *ref = check_ref(L, 1);
    lua_settop(L, 1);
    if (ref->outcome == REF_FAILED) {
        lua_pushboolean(L, 0);
        lua_getiuservalue(L, 1, REF_RESULTS);
        return 2;
    }
    if (ref->outcome == REF_OPEN) {
        lua_pushboolean(L, 0);
        lua_pushliteral(L, "cancelled");
        return 2;
    }
    luaL_checkstack(L, ref->count + 2, "too many results");
    lua_pushboolean(L, 1);
    if (ref->count > 0)
        lua_getiuservalue(L, 1, REF_RESULTS);
    for (int i = 1; i <= ref->count; i++)
        lua_rawgeti(L, 3, i);
    if (ref->count > 0)
        lua_remove(L, 3);
    return ref->count + 1;
}

static int finish_join(lua_State *L, struct wait *wait)
{
    if (wait->outcome == WAIT_WOKEN)
        return push_outcome(L);
    lua_pushnil(L);
    lua_pushliteral(L, "timeout");
    return 2;
}

static uint64_t opt_timeout(lua_State *L, int index)
{
    return lua_isnoneornil(L, index) ? WAIT_FOREVER : duration_check(L, index);
}

static int ref_join(lua_State *L) /* t:join([timeout]) -> true, ... | false, err | nil, "timeout" */
{
    const struct task_ref *ref = check_ref(L, 1);
    uint64_t timeout_ms = opt_timeout(L, 2);
    struct task *task = ref_task(L, ref);
    if (task == NULL)
        return push_outcome(L);
    if (task == task_of(L))
        return luaL_error(L, "a task cannot join itself");

    struct wait *wait = task_wait(L);
    wait->finish = finish_join;
    list_push(&task->joiners, &wait->link);
    return task_park(L, timeout_ms);
}

static int ref_cancel(lua_State *L) /* t:cancel() */
{
    struct task *task = ref_task(L, check_ref(L, 1));
    if (task != NULL)
        task_cancel(task);
    return 0;
}

/* ---- looking at tasks ---- */

static const char *status_of(const struct task *task)
{
    switch (task->state) {
    case TASK_RUNNING: return "running";
    case TASK_PARKED: return "waiting";
    default: return "ready";
    }
}

static const char *ref_status(lua_State *L, const struct task_ref *ref)
{
    const struct task *task = ref_task(L, ref);
    if (task != NULL)
        return status_of(task);
    if (ref->outcome == REF_OPEN)
        return "cancelled";
    return ref->outcome == REF_DONE ? "done" : "failed";
}

static int ref_traceback(lua_State *L) /* t:traceback() -> text | nil */
{
    struct task_ref *ref = check_ref(L, 1);
    struct task *task = ref_task(L, ref);
    if (task == NULL)
        lua_getiuservalue(L, 1, REF_TRACEBACK);
    else if (task->state == TASK_RUNNING)
        luaL_traceback(L, L, NULL, 1);
    else
        fault_push_traceback(L, task->co);
    return 1;
}

/* t.name, t.status, or a method (upvalue 1) */
static int ref_index(lua_State *L)
{
    struct task_ref *ref = check_ref(L, 1);
    const char *key = luaL_checkstring(L, 2);
    if (key[0] == 's' && strcmp(key, "status") == 0) {
        lua_pushstring(L, ref_status(L, ref));
    } else if (key[0] == 'n' && strcmp(key, "name") == 0) {
        struct task *task = ref_task(L, ref);
        if (lua_getiuservalue(L, 1, REF_NAME) == LUA_TNIL && task != NULL)
            lua_pushstring(L, task->name);
    } else {
        lua_getfield(L, lua_upvalueindex(1), key);
    }
    return 1;
}

static int ref_tostring(lua_State *L)
{
    struct task_ref *ref = check_ref(L, 1);
    lua_getiuservalue(L, 1, REF_NAME);
    lua_pushfstring(L, "%s (%s)", luaL_optstring(L, -1, "task"), ref_status(L, ref));
    return 1;
}

static lua_State *innermost(lua_State *co)
{
    while (lua_status(co) == LUA_YIELD && park_is_marked(co) && park_below(co) != NULL)
        co = park_below(co);
    return co;
}

/* The first line of a script on the stack of a task. */
static void push_where(lua_State *L, const struct task *task)
{
    lua_State *co = innermost(task->co);
    lua_Debug ar;
    for (int level = 0; lua_getstack(co, level, &ar); level++) {
        lua_getinfo(co, "Sl", &ar);
        if (ar.currentline > 0) {
            lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
            return;
        }
    }
    lua_pushliteral(L, "");
}

static int task_list(lua_State *L) /* list() -> { {name=, status=, age=, where=}, ... }, oldest
                                      first */
{
    struct vm *vm = vm_of(L);
    lua_Integer count = 0;
    lua_newtable(L);
    list_each (link, &vm->tasks) {
        const struct task *task = container_of(link, struct task, link);
        lua_createtable(L, 0, 4);
        lua_pushstring(L, task->name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, status_of(task));
        lua_setfield(L, -2, "status");
        lua_pushnumber(L, (double)(loop_now_ms(vm->loop) - task->started_ms) / 1000.0);
        lua_setfield(L, -2, "age");
        push_where(L, task);
        lua_setfield(L, -2, "where");
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* ---- time ---- */

static int task_sleep(lua_State *L) /* sleep(duration) */
{
    uint64_t ms = duration_check(L, 1);
    task_wait(L);
    return task_park(L, ms);
}

static int task_now(lua_State *L) /* now() -> seconds of a clock that only goes forward */
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    lua_pushnumber(L, (double)now.tv_sec + (double)now.tv_nsec / 1e9);
    return 1;
}

/* ---- protection from cancelling, passing errors on ---- */

static int task_shield(lua_State *L) /* shield(+1 | -1) */
{
    struct task *task = task_of(L);
    if (task != NULL)
        task->shields = (uint16_t)(task->shields + luaL_checkinteger(L, 1));
    return 0;
}

static int task_check(lua_State *L) /* check(): raises when this task was cancelled */
{
    struct task *task = task_of(L);
    if (task == NULL || !task_must_unwind(task))
        return 0;
    task_begin_unwinding(task);
    task_push_cancel(L);
    return lua_error(L);
}

static int task_is_cancelled(lua_State *L) /* is_cancelled(err): is it the error that cancels? */
{
    lua_pushboolean(L, stop_is_cancelled(L, 1));
    return 1;
}

/* disown(t): nobody will ask for its error any more, so it is logged, when it comes or now. */
static int task_disown(lua_State *L)
{
    struct task_ref *ref = check_ref(L, 1);
    bool is_late = ref->is_owned && ref->outcome == REF_FAILED;
    ref->is_owned = false;
    if (is_late) {
        lua_settop(L, 1);
        lua_getiuservalue(L, 1, REF_RESULTS);
        lua_getiuservalue(L, 1, REF_TRACEBACK);
        lua_getiuservalue(L, 1, REF_NAME);
        fault_log(L, lua_tostring(L, 4), 2, lua_tostring(L, 3));
    }
    return 0;
}

/* raise(err, traceback): raises what failed in another task, whose traceback goes in the log as
 * well. */
static int task_raise(lua_State *L)
{
    const char *traceback = luaL_optstring(L, 2, NULL);
    fault_note_cause(L, 1, traceback);
    lua_settop(L, 1);
    return lua_error(L);
}

/* cause(err) -> the traceback from where `err` was raised first, when that was not here | nil */
static int task_cause(lua_State *L)
{
    const struct task *task = task_of(L);
    if (task != NULL && task->cause != NULL && task->cause_of == lua_topointer(L, 1))
        lua_pushstring(L, task->cause);
    else
        lua_pushnil(L);
    return 1;
}

#ifdef NEAP_TESTING
static int task_fail_alloc(lua_State *L) /* fail_alloc(n): Lua's n-th allocation from now fails */
{
    vm_of(L)->fail_in = (uint32_t)luaL_checkinteger(L, 1) + 1;
    return 0;
}
#endif

int bind_task(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"spawn", task_spawn},
        {"spawn_owned", task_spawn_owned},
        {"self", task_self},
        {"id", task_id},
        {"list", task_list},
        {"sleep", task_sleep},
        {"yield", task_yield},
        {"now", task_now},
        {"shield", task_shield},
        {"check", task_check},
        {"is_cancelled", task_is_cancelled},
        {"disown", task_disown},
        {"raise", task_raise},
        {"cause", task_cause},
#ifdef NEAP_TESTING
        {"fail_alloc", task_fail_alloc},
#endif
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"join", ref_join},
        {"cancel", ref_cancel},
        {"traceback", ref_traceback},
        {NULL, NULL},
    };
    luaL_newmetatable(L, TASK_TYPE);
    luaL_newlib(L, methods);
    lua_pushcclosure(L, ref_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, ref_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pop(L, 1);

    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &refs_key);

    luaL_newlib(L, functions);
    bind_waiters(L);
    lua_setfield(L, -2, "task");
    return 0;
}
