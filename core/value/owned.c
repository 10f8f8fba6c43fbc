/* Metatables of userdata that own something: see owned.h. */
#include "value/owned.h"

#include <lauxlib.h>

/* It is registered when it is complete: luaL_newmetatable registers it empty, and should memory run
 * out then, nothing of that type would be released any more. */
static void push_type(lua_State *L, const char *name, lua_CFunction release)
{
    if (luaL_getmetatable(L, name) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, release);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, release);
    lua_setfield(L, -2, "__close");
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, name);
}

void owned_set_type(lua_State *L, const char *name, lua_CFunction release)
{
    push_type(L, name, release);
    lua_setmetatable(L, -2);
}
