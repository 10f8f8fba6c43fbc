/* Protected calls as scripts see them. A cancel must reach the bottom of its task whatever it meets
 * on the way: pcall passes it on, and also when a <close> handler in between replaced it by an
 * error of its own. */
#include "task/guard.h"

#include "task/fault.h"
#include "task/stop.h"
#include "task/task.h"

#include <lauxlib.h>

/* Continuation context: was the task unwinding already when this call began (it stands in a <close>
 * handler)? */
static lua_KContext is_unwinding(lua_State *L)
{
    const struct task *task = task_of(L);
    return task != NULL && task->is_unwinding;
}

/* stack: ..., error. Returns when the error is an ordinary one. */
static void pass_on_stop(lua_State *L, lua_KContext was_unwinding)
{
    if (task_is_cancel(L, -1))
        lua_error(L);
    if (was_unwinding || !is_unwinding(L))
        return;
    /* Failed in a <close> handler, and is lost otherwise. */
    fault_log(L, task_of(L)->name, -1, NULL);
    task_push_cancel(L);
    lua_error(L);
}

/* stack: [handler,] true, results... or error */
static int guard_done(lua_State *L, int status, lua_KContext ctx)
{
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L) - (int)(ctx >> 1);
    pass_on_stop(L, ctx & 1);
    lua_pushboolean(L, 0);
    lua_pushvalue(L, -2);
    return 2;
}

static int guard_pcall(lua_State *L)
{
    lua_KContext ctx = is_unwinding(L);
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    return guard_done(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, ctx, guard_done), ctx);
}

/* The user's message handler, upvalue 1, for everything that is not a stop. */
static int user_handler(lua_State *L)
{
    if (task_is_cancel(L, 1))
        return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

bool guard_is_handler(lua_CFunction fn)
{
    return fn == user_handler;
}

static int guard_xpcall(lua_State *L)
{
    int args = lua_gettop(L) - 2;
    lua_KContext ctx = (1 << 1) | is_unwinding(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, user_handler, 1);
    lua_insert(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 2);
    lua_remove(L, 4); /* stack: handler, true, fn, args... */
    return guard_done(L, lua_pcallk(L, args, LUA_MULTRET, 1, ctx, guard_done), ctx);
}

void guard_open(lua_State *L)
{
    lua_pushcfunction(L, guard_pcall);
    lua_setglobal(L, "pcall");
    lua_pushcfunction(L, guard_xpcall);
    lua_setglobal(L, "xpcall");
}
