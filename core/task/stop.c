/* The two errors that no pcall keeps, owned by the registry of their vm. */
#include "task/stop.h"

#include "task/task.h"
#include "task/vm.h"

#include <lauxlib.h>
#include <stdio.h>

#define PLACE_LEVELS 20

struct stop {
    const char *code;
    uint32_t ran_ms; /* of the watchdog's, and where it was; "": not known */
    char place[LUA_IDSIZE + 16];
};

static int stop_tostring(lua_State *L)
{
    const struct stop *stop = lua_touserdata(L, lua_upvalueindex(1));
    if (stop == vm_of(L)->cancel_error) {
        lua_pushliteral(L, "cancelled");
    } else {
        char text[sizeof(stop->place) + 64];
        snprintf(text, sizeof(text), "stopped by the watchdog after %.1f s%s%s",
                 (double)stop->ran_ms / 1000.0, stop->place[0] ? " at " : "", stop->place);
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

/* "app.lua:7": the innermost line of Lua, in a hook. */
static void note_place(lua_State *L, struct stop *stop)
{
    lua_Debug at;
    stop->place[0] = '\0';
    for (int level = 0; level < PLACE_LEVELS && lua_getstack(L, level, &at); level++) {
        lua_getinfo(L, "Sl", &at);
        if (at.currentline <= 0)
            continue;
        snprintf(stop->place, sizeof(stop->place), "%s:%d", at.short_src, at.currentline);
        return;
    }
}

void stop_push_watchdog(lua_State *L, uint32_t ran_ms)
{
    struct stop *stop = vm_of(L)->watchdog_error;
    stop->ran_ms = ran_ms;
    note_place(L, stop);
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
