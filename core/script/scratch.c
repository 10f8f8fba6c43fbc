/* A buffer that Lua's collector frees: see scratch.h. */
#include "script/scratch.h"

#include <lauxlib.h>

#define SCRATCH_TYPE "neap.scratch"

static int scratch_gc(lua_State *L)
{
    bytes_deinit(lua_touserdata(L, 1));
    return 0;
}

struct bytes *scratch_push(lua_State *L)
{
    struct bytes *bytes = lua_newuserdatauv(L, sizeof(*bytes), 0);
    bytes_init(bytes);
    if (luaL_newmetatable(L, SCRATCH_TYPE)) {
        lua_pushcfunction(L, scratch_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return bytes;
}
