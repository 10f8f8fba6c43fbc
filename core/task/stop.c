/* The two errors that no pcall keeps, owned by the registry of their vm. */
#include "task/stop.h"

#include "task/task.h"
#include "task/vm.h"

#include <lauxlib.h>
#include <stdio.h>

struct stop {
    const char *code;
    uint32_t ran_ms; /* of the watchdog's */
};

static int stop_tostring(lua_State *L)
{
    const struct stop *stop = lua_touserdata(L, lua_upvalueindex(1));
    if (stop == vm_of(L)->cancel_error) {
        lua_pushliteral(L, "cancelled");
    } else {
        char text[64];
        snprintf(text, sizeof(text), "stopped by the watchdog after %.1f s",
                 (double)stop->ran_ms / 1000.0);
        lua_pushstring(L, text);
    }
    return 1;
}

/* The metatable is per object and hidden: a script can read `code`, nothing else. */
static struct stop *stop_new(lua_State *L, const char *code)
{
    struct stop *stop = lua_newuserdatauv(L, sizeof(*stop), 0);
    *stop = (struct stop){.code = code};

    lua_createtable(L, 0, 4); /* stack: stop, metatable */
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, stop_tostring, 1);
    lua_setfield(L, -2, "__tostring");
    lua_createtable(L, 0, 1);
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "neap.stop");
    lua_setfield(L, -2, "__name");
    lua_pushliteral(L, "neap.stop");
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, stop);
    return stop;
}

void stop_open(lua_State *L)
{
    struct vm *vm = vm_of(L);
    vm->cancel_error = stop_new(L, "cancelled");
    vm->watchdog_error = stop_new(L, "watchdog");
}

void task_push_cancel(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, vm_of(L)->cancel_error);
}

void stop_push_watchdog(lua_State *L, uint32_t ran_ms)
{
    struct stop *stop = vm_of(L)->watchdog_error;
    stop->ran_ms = ran_ms;
    lua_rawgetp(L, LUA_REGISTRYINDEX, stop);
}

bool stop_is_cancelled(lua_State *L, int index)
{
    void *object = lua_touserdata(L, index);
    return object != NULL && object == vm_of(L)->cancel_error;
}

bool task_is_cancel(lua_State *L, int index)
{
    void *object = lua_touserdata(L, index);
    if (object == NULL)
        return false;
    struct vm *vm = vm_of(L);
    return object == vm->cancel_error || object == vm->watchdog_error;
}
