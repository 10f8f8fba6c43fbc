/* Puts neap.core together, of what the bindings add to it: see binding.h. */
#include "task/core.h"

#include "task/call.h"
#include "task/library.h"
#include "task/vm.h"
#include "value/binding.h"

#include <lauxlib.h>

/* stack: ..., core */
static void publish(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_insert(L, -2);
    lua_setfield(L, -2, "neap.core");
    lua_pop(L, 1);
}

/* The first of our files, which makes the `require` that loads all others. */
static void load_loader(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    const char *path = lua_pushfstring(L, "%s/neap/life/loader.lua", vm_of(L)->options.lua_dir);
    if (library_load(L, path) != LUA_OK)
        lua_error(L);
    lua_call(L, 0, 1);
    lua_setfield(L, -3, "neap.life.loader");
    lua_pop(L, 2);
}

static void require_module(lua_State *L, const char *name)
{
    lua_getglobal(L, "require");
    lua_pushstring(L, name);
    lua_call(L, 1, 0);
}

static int install(lua_State *L)
{
    binding_push_all(L, false);
    publish(L);
    load_loader(L);
    return 0;
}

static int refuse_field(lua_State *L)
{
    return luaL_error(L, "neap.core.%s is not available inside task.thread, see its description",
                      luaL_checkstring(L, 2));
}

void core_install_portable(lua_State *L)
{
    binding_push_all(L, true);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, refuse_field);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    publish(L);
    load_loader(L);
    require_module(L, "neap.task.thread");
}

int core_install(struct vm *vm)
{
    return call_protected(vm, install, NULL, "the library neap.core");
}
