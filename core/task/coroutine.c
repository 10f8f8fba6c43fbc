/* coroutine.* as scripts see it. A coroutine's body runs under a protected frame, like a task's, so
 * that its <close> handlers run, and may park, when an error (a cancel above all) goes through
 * it. */
#include "task/coroutine.h"

#include "task/fault.h"
#include "task/guard.h"
#include "task/stop.h"
#include "task/task.h"
#include "task/vm.h"

#include <lauxlib.h>
#include <string.h>

/* ---- the bottom frame of a coroutine: handler, note, body, arguments... ---- */

enum { AT_HANDLER = 1, AT_NOTE = 2 };

static int bottom_level(lua_State *L)
{
    lua_Debug ar;
    int level = 1;
    while (lua_getstack(L, level + 1, &ar))
        level++;
    return level;
}

/* Message handler: leaves the traceback in the bottom frame, for debug.traceback of the dead
 * coroutine. */
static int note_failure(lua_State *L)
{
    lua_Debug ar;
    if (stop_is_cancelled(L, 1) || fault_is_deep(L))
        return 1;
    fault_push_stack(L, L, NULL, 1);
    if (!lua_getstack(L, bottom_level(L), &ar) || lua_setlocal(L, &ar, AT_NOTE) == NULL)
        lua_pop(L, 1);
    return 1;
}

static int coroutine_body_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)ctx;
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L) - AT_NOTE;
    return lua_error(L);
}

static int body_main(lua_State *L)
{
    int args = lua_gettop(L) - AT_NOTE - 1;
    return coroutine_body_done(L,
                               lua_pcallk(L, args, LUA_MULTRET, AT_HANDLER, 0, coroutine_body_done),
                               0);
}

/* The traceback of where a coroutine failed, or NULL. Valid while the coroutine is. */
static const char *failure_of(lua_State *co)
{
    lua_Debug ar;
    int status = lua_status(co);
    if (status == LUA_OK || status == LUA_YIELD || !lua_getstack(co, 0, &ar) ||
        !lua_checkstack(co, 1))
        return NULL;
    lua_getinfo(co, "f", &ar);
    bool is_ours = lua_tocfunction(co, -1) == body_main;
    lua_pop(co, 1);
    return is_ours && lua_type(co, AT_NOTE) == LUA_TSTRING ? lua_tostring(co, AT_NOTE) : NULL;
}

static lua_State *check_coroutine(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    return co;
}

/* ---- resuming ---- */

enum { RESUME_RETURNS = 0, RESUME_RAISES = 1 };

/* stack of L: whatever was below the arguments. The number of values moved from `co`, or -1 and one
 * error value. */
static int take_results(lua_State *L, lua_State *co, int count)
{
    if (!lua_checkstack(L, count + 1)) {
        lua_pop(co, count);
        lua_pushliteral(L, "too many results to resume");
        return -1;
    }
    lua_xmove(co, L, count);
    return count;
}

/* stack of L: ..., error. The error of `co` becomes the one of its user. */
static int raise_from(lua_State *L, lua_State *co)
{
    if (lua_type(L, -1) == LUA_TSTRING) { /* with the position of the call, as Lua's own does */
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    fault_note_cause(L, -1, failure_of(co));
    return lua_error(L);
}

static int give_failure(lua_State *L, lua_State *co, int mode)
{
    if (task_is_cancel(L, -1)) {
        fault_note_cause(L, -1, failure_of(co));
        return lua_error(L);
    }
    if (mode == RESUME_RAISES)
        return raise_from(L, co);
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

/* A copy: coroutine.close gives it as well. */
static void push_error_of(lua_State *L, lua_State *co)
{
    if (lua_checkstack(co, 1))
        lua_pushvalue(co, -1);
    lua_xmove(co, L, 1);
}

static int resume_continue(lua_State *L, int status, lua_KContext mode);

/* Runs `co` until it yields to us, ends, or parks: then we park too, and do not come back from
 * here. */
static int run_coroutine(lua_State *L, lua_State *co, int args, int mode)
{
    struct vm *vm = vm_of(L);
    bool could_park = vm->can_park;
    int results;
    vm->can_park = could_park && lua_isyieldable(L);
    watch_switch(&vm->watch, co);
    int status = lua_resume(co, L, args, &results);
    watch_switch(&vm->watch, L);
    vm->can_park = could_park;

    if (status == LUA_YIELD && task_park_is_marked(co))
        return task_park_through(L, co, mode, resume_continue);
    if (status != LUA_OK && status != LUA_YIELD) {
        push_error_of(L, co);
        return give_failure(L, co, mode);
    }
    if (mode == RESUME_RETURNS)
        lua_pushboolean(L, 1);
    int count = take_results(L, co, results);
    if (count < 0)
        return give_failure(L, co, mode);
    return mode == RESUME_RETURNS ? count + 1 : count;
}

/* stack: ..., co, mark */
static int resume_continue(lua_State *L, int status, lua_KContext mode)
{
    (void)status;
    lua_State *co = lua_tothread(L, -2);
    lua_pop(L, 2); /* it stays anchored: it is our argument or upvalue */
    return run_coroutine(L, co, 0, (int)mode);
}

/* Why `co` cannot be resumed now, or NULL. */
static const char *why_not(lua_State *L, lua_State *co)
{
    lua_Debug ar;
    switch (lua_status(co)) {
    case LUA_YIELD:
        return task_park_is_marked(co) ? "cannot resume: the coroutine is waiting" : NULL;
    case LUA_OK:
        if (co == L || lua_getstack(co, 0, &ar))
            return "cannot resume non-suspended coroutine";
        if (lua_gettop(co) == 0)
            return "cannot resume dead coroutine";
        return task_is_bottom(co) ? "cannot resume: the coroutine belongs to a task" : NULL;
    default: return "cannot resume dead coroutine";
    }
}

/* stack of L: ..., the arguments */
static int resume(lua_State *L, lua_State *co, int args, int mode)
{
    const char *why = why_not(L, co);
    int bottom = 0;
    if (why == NULL && !lua_checkstack(co, args + 1))
        why = "too many arguments to resume";
    if (why != NULL) {
        lua_pushstring(L, why);
        return give_failure(L, L, mode);
    }
    if (lua_status(co) == LUA_OK && lua_tocfunction(co, 1) == body_main)
        bottom = AT_NOTE + 1; /* not begun: handler, note and body are arguments, too */
    lua_xmove(L, co, args);
    return run_coroutine(L, co, args + bottom, mode);
}

static int own_resume(lua_State *L)
{
    lua_State *co = check_coroutine(L);
    return resume(L, co, lua_gettop(L) - 1, RESUME_RETURNS);
}

static int wrap_call(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    return resume(L, co, lua_gettop(L), RESUME_RAISES);
}

/* ---- making and ending ---- */

static int own_create(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushcfunction(co, body_main);
    lua_pushcfunction(co, note_failure);
    lua_pushnil(co); /* the note */
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

static int own_wrap(lua_State *L)
{
    own_create(L);
    lua_pushcclosure(L, wrap_call, 1);
    return 1;
}

/* A task's own coroutine has no user who could take the values. */
static bool has_user(lua_State *L, lua_State *co)
{
    const struct task *task = task_of(L);
    return task == NULL || task->co != co;
}

static int own_yield(lua_State *L)
{
    if (!has_user(L, L))
        return luaL_error(L, "attempt to yield from outside a coroutine (task.yield lets other "
                             "tasks run)");
    return lua_yield(L, lua_gettop(L));
}

static int own_isyieldable(lua_State *L)
{
    lua_State *co = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
    lua_pushboolean(L, lua_isyieldable(co) && has_user(L, co));
    return 1;
}

static int own_running(lua_State *L)
{
    int is_main = lua_pushthread(L);
    lua_pushboolean(L, is_main);
    return 2;
}

/* A coroutine that waits inside is "normal": it is active, and only the scheduler can go on with
 * it. */
static const char *status_name(lua_State *L, lua_State *co)
{
    lua_Debug ar;
    if (L == co)
        return "running";
    switch (lua_status(co)) {
    case LUA_YIELD: return task_park_is_marked(co) ? "normal" : "suspended";
    case LUA_OK:
        if (lua_getstack(co, 0, &ar))
            return "normal";
        return lua_gettop(co) == 0 ? "dead" : "suspended";
    default: return "dead";
    }
}

static int own_status(lua_State *L)
{
    lua_pushstring(L, status_name(L, check_coroutine(L)));
    return 1;
}

/* Its <close> handlers run here and now; they cannot wait. */
static int own_close(lua_State *L)
{
    lua_State *co = check_coroutine(L);
    const char *name = status_name(L, co);
    if (lua_status(co) == LUA_YIELD && task_park_is_marked(co))
        return luaL_error(L, "cannot close: the coroutine is waiting");
    if ((strcmp(name, "suspended") != 0 && strcmp(name, "dead") != 0) || task_is_bottom(co))
        return luaL_error(L, "cannot close a %s coroutine", name);

    struct vm *vm = vm_of(L);
    bool could_park = vm->can_park;
    vm->can_park = false;
    watch_switch(&vm->watch, co);
    int status = vm_reset_coroutine(co, L);
    watch_switch(&vm->watch, L);
    vm->can_park = could_park;

    if (status == LUA_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_xmove(co, L, 1);
    return give_failure(L, L, RESUME_RETURNS);
}

/* ---- debug.traceback([thread,] [message [, level]]) ---- */

/* Where to begin, so that xpcall's frame around a handler is not counted. Level 0 is
 * debug.traceback. */
static int skip_handler(lua_State *L, int level)
{
    lua_Debug ar;
    for (int i = 1; i <= level && lua_getstack(L, i, &ar); i++) {
        lua_getinfo(L, "f", &ar);
        bool is_found = guard_is_handler(lua_tocfunction(L, -1));
        lua_pop(L, 1);
        if (is_found)
            return level + 1;
    }
    return level;
}

static int own_traceback(lua_State *L)
{
    int at = lua_isthread(L, 1) ? 1 : 0; /* arguments before the message */
    lua_State *co = at ? lua_tothread(L, 1) : L;
    const char *text = lua_tostring(L, at + 1);
    if (text == NULL && !lua_isnoneornil(L, at + 1)) {
        lua_pushvalue(L, at + 1); /* not text: returned as it is */
        return 1;
    }
    const char *failure = co != L && lua_isnoneornil(L, at + 2) ? failure_of(co) : NULL;
    if (failure != NULL) {
        lua_pushfstring(L, "%s%s%s", text ? text : "", text ? "\n" : "", failure);
        return 1;
    }
    int level = (int)luaL_optinteger(L, at + 2, co == L ? 1 : 0);
    fault_push_stack(L, co, text, co == L ? skip_handler(L, level) : level);
    return 1;
}

void coroutine_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"create", own_create},   {"resume", own_resume}, {"yield", own_yield},
        {"wrap", own_wrap},       {"status", own_status}, {"isyieldable", own_isyieldable},
        {"running", own_running}, {"close", own_close},   {NULL, NULL},
    };
    lua_getglobal(L, "coroutine");
    luaL_setfuncs(L, functions, 0);
    lua_getglobal(L, "debug");
    lua_pushcfunction(L, own_traceback);
    lua_setfield(L, -2, "traceback");
    lua_pop(L, 2);
}
