/* core.task: the primitives under lua/neap/task.lua. References to tasks are task_ref.c's. */
#include "task/bind_task.h"

#include "base/scarce.h"
#include "task/fault.h"
#include "task/task.h"
#include "task/task_ref.h"
#include "task/vm.h"
#include "value/binding.h"
#include "value/units.h"

#include <lauxlib.h>
#include <string.h>
#include <time.h>

/* ---- spawning ---- */

static int task_spawn(lua_State *L) /* spawn(fn, ...) -> t */
{
    return task_ref_spawn(L, 1, 1, 0, false);
}

/* spawn_owned([about,] fn, ...) -> t, named after `about`: its error is not logged */
static int task_spawn_owned(lua_State *L)
{
    return task_ref_spawn(L, 1, lua_type(L, 1) == LUA_TSTRING ? 2 : 1, 0, true);
}

static int task_self(lua_State *L) /* self() -> t | nil */
{
    struct task *task = task_of(L);
    if (task == NULL)
        return 0;
    task_ref_push_self(L, task);
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

static int finish_join(lua_State *L, struct wait *wait)
{
    if (wait->outcome == WAIT_WOKEN)
        return task_ref_push_outcome(L, 1);
    lua_pushnil(L);
    lua_pushliteral(L, "timeout");
    return 2;
}

static uint64_t opt_timeout(lua_State *L, int index)
{
    return lua_isnoneornil(L, index) ? WAIT_FOREVER : units_check_duration(L, index);
}

static int ref_join(lua_State *L) /* t:join([timeout]) -> true, ... | false, err | nil, "timeout" */
{
    const struct task_ref *ref = task_ref_check(L, 1);
    uint64_t timeout_ms = opt_timeout(L, 2);
    struct task *task = task_ref_task(L, ref);
    if (task == NULL)
        return task_ref_push_outcome(L, 1);
    if (task == task_of(L))
        return luaL_error(L, "a task cannot join itself");

    struct wait *wait = task_wait(L);
    wait->finish = finish_join;
    list_push(&task->joiners, &wait->link);
    return task_park(L, timeout_ms);
}

static int ref_cancel(lua_State *L) /* t:cancel() */
{
    struct task *task = task_ref_task(L, task_ref_check(L, 1));
    if (task != NULL)
        task_cancel(task);
    return 0;
}

/* ---- looking at tasks ---- */

static const char *ref_status(lua_State *L, const struct task_ref *ref)
{
    const struct task *task = task_ref_task(L, ref);
    if (task != NULL)
        return task_state_name(task);
    if (ref->outcome == TASK_REF_OPEN)
        return "cancelled";
    return ref->outcome == TASK_REF_DONE ? "done" : "failed";
}

static int ref_traceback(lua_State *L) /* t:traceback() -> text | nil */
{
    struct task_ref *ref = task_ref_check(L, 1);
    struct task *task = task_ref_task(L, ref);
    if (task == NULL)
        lua_getiuservalue(L, 1, TASK_REF_TRACEBACK);
    else if (task->state == TASK_RUNNING)
        luaL_traceback(L, L, NULL, 1);
    else
        fault_push_traceback(L, task->co);
    return 1;
}

/* t.name, t.status, or a method (upvalue 1) */
static int ref_index(lua_State *L)
{
    struct task_ref *ref = task_ref_check(L, 1);
    const char *key = luaL_checkstring(L, 2);
    if (key[0] == 's' && strcmp(key, "status") == 0) {
        lua_pushstring(L, ref_status(L, ref));
    } else if (key[0] == 'n' && strcmp(key, "name") == 0) {
        struct task *task = task_ref_task(L, ref);
        if (lua_getiuservalue(L, 1, TASK_REF_NAME) == LUA_TNIL && task != NULL)
            lua_pushstring(L, task->name);
    } else {
        lua_getfield(L, lua_upvalueindex(1), key);
    }
    return 1;
}

static int ref_tostring(lua_State *L)
{
    struct task_ref *ref = task_ref_check(L, 1);
    lua_getiuservalue(L, 1, TASK_REF_NAME);
    lua_pushfstring(L, "%s (%s)", luaL_optstring(L, -1, "task"), ref_status(L, ref));
    return 1;
}

/* ---- time ---- */

static int task_sleep(lua_State *L) /* sleep(duration) */
{
    uint64_t ms = units_check_duration(L, 1);
    task_wait(L);
    return task_park(L, ms);
}

static void push_seconds(lua_State *L, const struct timespec *at)
{
    const struct loop *loop = vm_of(L)->loop;
    double skew = loop != NULL ? (double)loop->skew_ms / 1000.0 : 0;
    lua_pushnumber(L, (double)at->tv_sec + (double)at->tv_nsec / 1e9 + skew);
}

static int task_now(lua_State *L) /* now() -> seconds of a clock that only goes forward */
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    push_seconds(L, &now);
    return 1;
}

static int task_time(lua_State *L) /* time() -> seconds since 1970; moved on by skip as well */
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    push_seconds(L, &now);
    return 1;
}

/* skip(seconds): the clock goes on to the next deadline, at most so far; how far it went. For
 * tests: see lua/neap/test.lua. */
static int task_skip(lua_State *L)
{
    struct loop *loop = vm_of(L)->loop;
    luaL_argcheck(L, loop != NULL, 1, "there is no clock to move inside task.thread");
    uint64_t from_ms = loop_now_ms(loop);
    loop_skip(loop, from_ms + units_check_duration(L, 1));
    lua_pushnumber(L, (double)(loop_now_ms(loop) - from_ms) / 1000.0);
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

/* report(t): logs the error of a failed task: nobody took it. */
static int task_report(lua_State *L)
{
    const struct task_ref *ref = task_ref_check(L, 1);
    if (ref->outcome != TASK_REF_FAILED)
        return 0;
    lua_settop(L, 1);
    lua_getiuservalue(L, 1, TASK_REF_RESULTS);
    lua_getiuservalue(L, 1, TASK_REF_TRACEBACK);
    lua_getiuservalue(L, 1, TASK_REF_NAME);
    fault_log(L, lua_tostring(L, 4), 2, lua_tostring(L, 3));
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
/* fail_alloc(n): Lua's n-th allocation from now fails, in whatever state; 0: none does */
static int task_fail_alloc(lua_State *L)
{
    scarce_arm(SCARCE_LUA, (long)luaL_checkinteger(L, 1));
    return 0;
}

/* lose(what): the next one to end of "request" or "websocket" is never given back; "count": more
 * requests are counted than there are */
static int task_lose(lua_State *L)
{
    static const char *const names[] = {"nothing", "request", "websocket", "count", NULL};
    struct vm *vm = vm_of(L);
    vm->loses = luaL_checkoption(L, 1, NULL, names);
    if (vm_loses(vm, VM_LOSES_COUNT))
        vm->requests++;
    return 0;
}
#endif

static int bind_task(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"spawn", task_spawn},
        {"spawn_owned", task_spawn_owned},
        {"self", task_self},
        {"id", task_id},
        {"sleep", task_sleep},
        {"yield", task_yield},
        {"now", task_now},
        {"time", task_time},
        {"skip", task_skip},
        {"shield", task_shield},
        {"report", task_report},
        {"raise", task_raise},
        {"cause", task_cause},
#ifdef NEAP_TESTING
        {"fail_alloc", task_fail_alloc},
        {"lose", task_lose},
#endif
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"join", ref_join},
        {"cancel", ref_cancel},
        {"traceback", ref_traceback},
        {NULL, NULL},
    };
    task_ref_open(L);
    luaL_getmetatable(L, TASK_REF_TYPE);
    luaL_newlib(L, methods);
    lua_pushcclosure(L, ref_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, ref_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pop(L, 1);

    luaL_newlib(L, functions);
    bind_task_waiters(L);
    bind_task_crew(L);
    bind_task_roster(L);
    bind_task_thread(L);
    lua_setfield(L, -2, "task");
    return 0;
}

BINDING_PORTABLE(bind_task)
