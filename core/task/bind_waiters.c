/* core.task.park and wake, and waiters: a first-in-first-out queue of waiting tasks, from which Lua
 * builds events, semaphores and queues. A task that is cancelled or times out leaves it by itself,
 * and takes along what it offers to whoever would have woken it. The collector owns a queue; a task
 * waiting in it holds it by the argument on its stack. */
#include "task/bind_task.h"
#include "task/task.h"
#include "task/vm.h"
#include "value/units.h"

#include <lauxlib.h>

#define WAITERS_TYPE "neap.waiters"

struct waiters {
    struct list waits;
    int count;
};

static const char in_park; /* source of a wait in park(), for wake(t) */

static uint64_t opt_timeout(lua_State *L, int index)
{
    return lua_isnoneornil(L, index) ? WAIT_FOREVER : units_check_duration(L, index);
}

/* The value for the woken task, on top of the stack, goes to it by way of the registry. */
static intptr_t give(lua_State *L)
{
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static void push_taken(lua_State *L, intptr_t ref)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    luaL_unref(L, LUA_REGISTRYINDEX, (int)ref);
}

/* -> value | nil, "timeout" */
static int bind_waiters_finish(lua_State *L, struct wait *wait)
{
    if (wait->outcome == WAIT_TIMEOUT) {
        lua_pushnil(L);
        lua_pushliteral(L, "timeout");
        return 2;
    }
    push_taken(L, wait->result);
    return 1;
}

/* The task was cut off after it was woken. */
static void bind_waiters_lose(struct wait *wait)
{
    luaL_unref(task_of_wait(wait)->vm->L, LUA_REGISTRYINDEX, (int)wait->result);
}

/* ---- one task ---- */

static int task_park_plain(lua_State *L) /* park([timeout]) -> value | nil, "timeout" */
{
    uint64_t timeout_ms = opt_timeout(L, 1);
    struct wait *wait = task_wait(L);
    wait->source = (void *)&in_park;
    wait->finish = bind_waiters_finish;
    wait->lost = bind_waiters_lose;
    return task_park(L, timeout_ms);
}

/* wake(t [, value]) -> true, or false: it is not waiting in park. `t` is what task.id() gave. */
static int task_wake(lua_State *L)
{
    struct task *task = task_get(vm_of(L), (slot_handle)luaL_checkinteger(L, 1));
    lua_settop(L, 2);
    bool is_parked = task != NULL && task->state == TASK_PARKED && task->wait.source == &in_park &&
                     task->wait.outcome == WAIT_PENDING;
    if (is_parked)
        task_wake_wait(&task->wait, give(L));
    lua_pushboolean(L, is_parked);
    return 1;
}

/* ---- queues ---- */

static struct waiters *check_waiters(lua_State *L)
{
    return luaL_checkudata(L, 1, WAITERS_TYPE);
}

static int waiters_new(lua_State *L) /* waiters() -> w */
{
    struct waiters *waiters = lua_newuserdatauv(L, sizeof(*waiters), 0);
    *waiters = (struct waiters){.count = 0};
    list_init(&waiters->waits);
    luaL_setmetatable(L, WAITERS_TYPE);
    return 1;
}

/* Until it is woken, `result` of a wait is the reference to its offer. */
static void undo_wait(struct wait *wait)
{
    ((struct waiters *)wait->source)->count--;
    luaL_unref(task_of_wait(wait)->vm->L, LUA_REGISTRYINDEX, (int)wait->result);
}

static int waiters_wait(lua_State *L) /* w:wait([timeout [, offer]]) -> value | nil, "timeout" */
{
    struct waiters *waiters = check_waiters(L);
    uint64_t timeout_ms = opt_timeout(L, 2);
    lua_settop(L, 3);
    struct wait *wait = task_wait(L);
    wait->result = give(L); /* may raise: before the wait is anywhere */
    wait->source = waiters;
    wait->undo = undo_wait;
    wait->finish = bind_waiters_finish;
    wait->lost = bind_waiters_lose;
    waiters->count++;
    list_push(&waiters->waits, &wait->link);
    return task_park(L, timeout_ms);
}

/* Pushes what it offered. */
static void wake_first(lua_State *L, struct waiters *waiters)
{
    lua_pushvalue(L, 2);
    intptr_t value = give(L); /* may raise: before anything is taken */
    struct wait *wait = container_of(list_shift(&waiters->waits), struct wait, link);
    waiters->count--;
    push_taken(L, wait->result);
    task_wake_wait(wait, value);
}

static int waiters_wake(lua_State *L) /* w:wake([value]) -> true, offer | false: nobody waits */
{
    struct waiters *waiters = check_waiters(L);
    bool is_anybody = waiters->count > 0;
    lua_settop(L, 2);
    lua_pushboolean(L, is_anybody);
    if (!is_anybody)
        return 1;
    wake_first(L, waiters);
    return 2;
}

static int waiters_wake_all(lua_State *L) /* w:wake_all([value]) -> how many */
{
    struct waiters *waiters = check_waiters(L);
    int count = waiters->count;
    lua_settop(L, 2);
    while (waiters->count > 0) {
        wake_first(L, waiters);
        lua_settop(L, 2);
    }
    lua_pushinteger(L, count);
    return 1;
}

static int waiters_len(lua_State *L) /* #w: how many wait */
{
    lua_pushinteger(L, check_waiters(L)->count);
    return 1;
}

int bind_task_waiters(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"park", task_park_plain},
        {"wake", task_wake},
        {"waiters", waiters_new},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"wait", waiters_wait},
        {"wake", waiters_wake},
        {"wake_all", waiters_wake_all},
        {NULL, NULL},
    };
    luaL_newmetatable(L, WAITERS_TYPE);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, waiters_len);
    lua_setfield(L, -2, "__len");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
    return 0;
}
