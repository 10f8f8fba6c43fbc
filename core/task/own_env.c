/* Copies of what an application can change: see own_env.h. They cost 10 KB for each state, and
 * nothing when they are used: a global is one look into a table, whichever that is. */
#include "task/own_env.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <string.h>

#define ENV_KEY "neap.env"

/* Those that are looked up by others as well: what `require` searches has to be the same table. */
static bool is_shared(const char *name)
{
    return strcmp(name, "_G") == 0 || strcmp(name, LUA_LOADLIBNAME) == 0;
}

/* Replaces the table on top by a copy. */
static void copy_table(lua_State *L)
{
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, -3);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2); /* stack: table, copy, key, key, value */
        lua_rawset(L, -4);
    }
    lua_remove(L, -2);
}

/* The table of globals is on top: pushes a copy, with copies of the libraries. */
static void push_copy(lua_State *L)
{
    lua_pushvalue(L, -1);
    copy_table(L);
    int copy = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, copy - 1);) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        if (name && lua_istable(L, -1) && !is_shared(name)) {
            copy_table(L);
            lua_setfield(L, copy, name);
        } else {
            lua_pop(L, 1);
        }
    }
}

/* Methods of strings are ours as well; what an application adds to its `string` is found behind
 * them. stack: globals, env */
static void guard_methods(lua_State *L)
{
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_getfield(L, -3, "string"); /* stack: globals, env, "", metatable, ours */
    lua_createtable(L, 0, 1);
    lua_getfield(L, -6, "string");
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 2);
}

void own_env_open(lua_State *L)
{
    lua_pushglobaltable(L);
    push_copy(L);
    guard_methods(L);
    lua_setfield(L, LUA_REGISTRYINDEX, ENV_KEY);
    lua_pop(L, 1);
}

void own_env_give(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, ENV_KEY);
    lua_setupvalue(L, -2, 1);
}
