/* core.task.thread: blocking or long work on a thread of its own. See errand.h. */
#include "base/mem.h"
#include "task/bind_task.h"
#include "task/errand.h"
#include "task/fault.h"
#include "task/task.h"
#include "task/vm.h"
#include "value/value.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#define ERRAND_TYPE "neap.errand" /* a userdata that holds the caller's share */

static struct errand *push_errand(lua_State *L)
{
    struct errand **box = lua_newuserdatauv(L, sizeof(*box), 0);
    *box = NULL;
    luaL_setmetatable(L, ERRAND_TYPE);
    *box = errand_new(vm_of(L));
    return *box;
}

static int errand_gc(lua_State *L)
{
    struct errand **box = luaL_checkudata(L, 1, ERRAND_TYPE);
    if (*box != NULL)
        errand_drop(*box);
    *box = NULL;
    return 0;
}

static char *copy_path(lua_State *L, const char *field)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, LUA_LOADLIBNAME); /* the global may be an application's by now */
    lua_getfield(L, -1, field);
    char *copy = mem_strdup(luaL_optstring(L, -1, ""));
    lua_pop(L, 3);
    return copy;
}

/* stack: module, function, data..., errand */
static void fill_call(lua_State *L, struct errand_call *call)
{
    char error[VALUE_ERROR_SIZE];
    int last = lua_gettop(L) - 1;
    call->module = mem_strdup(lua_tostring(L, 1));
    call->function = mem_strdup(lua_tostring(L, 2));
    call->path = copy_path(L, "path");
    call->cpath = copy_path(L, "cpath");
    call->arg_count = last - 2;
    for (int i = 3; i <= last; i++)
        if (value_write(L, i, &call->args, error) != 0)
            luaL_argerror(L, i, error);
}

/* stack: ..., errand, what waiting left */
static int finish_thread(lua_State *L, struct wait *wait)
{
    const struct errand_outcome *outcome = errand_outcome(wait->source);
    const char *at = outcome->values.data;
    const char *end = at + outcome->values.len;
    luaL_checkstack(L, outcome->count + 4, "too many results");
    int top = lua_gettop(L);
    for (int i = 0; i < outcome->count; i++)
        at = value_push_next(L, at, end);
    if (!outcome->has_failed)
        return outcome->count;
    if (outcome->traceback.len > 0)
        fault_note_cause(L, top + 1, outcome->traceback.data);
    return lua_error(L);
}

static void undo_thread(struct wait *wait)
{
    errand_abandon(wait->source);
}

/* thread(module, function, data...) -> what the function returns; raises what it raises */
static int task_thread(lua_State *L)
{
    luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
    struct errand *errand = vm_of(L)->loop != NULL ? push_errand(L) : NULL;
    if (errand != NULL)
        fill_call(L, errand_call(errand));

    struct wait *wait = task_wait(L);
    wait->source = errand;
    wait->undo = undo_thread;
    wait->finish = finish_thread;
    int err = errand_start(errand, wait);
    if (err != 0) {
        wait->outcome = WAIT_WOKEN;
        return luaL_error(L, "task.thread: cannot start a thread: %s", strerror(-err));
    }
    return task_park(L, WAIT_FOREVER);
}

int bind_task_thread(lua_State *L)
{
    luaL_newmetatable(L, ERRAND_TYPE);
    lua_pushcfunction(L, errand_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_pushcfunction(L, task_thread);
    lua_setfield(L, -2, "thread");
    return 0;
}
