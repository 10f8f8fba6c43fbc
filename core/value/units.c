/* Durations and sizes as Lua users write them: see units.h. */
#include "value/units.h"

#include "base/text.h"

#include <lauxlib.h>
#include <math.h>

uint64_t units_check_duration(lua_State *L, int index)
{
    uint64_t ms;
    if (lua_type(L, index) == LUA_TNUMBER) {
        double seconds = lua_tonumber(L, index);
        luaL_argcheck(L, seconds >= 0 && seconds < 1e12, index,
                      "a duration cannot be negative or endless");
        return (uint64_t)ceil(seconds * 1000);
    }
    const char *text = luaL_checkstring(L, index);
    if (text_parse_duration(text, &ms) < 0)
        luaL_argerror(L, index,
                      "a duration is a number of seconds or text like \"250ms\", \"10s\", \"5m\"");
    return ms;
}

uint64_t units_check_size(lua_State *L, int index)
{
    uint64_t bytes;
    if (lua_type(L, index) == LUA_TNUMBER) {
        double number = lua_tonumber(L, index);
        luaL_argcheck(L, number >= 0, index, "a size cannot be negative");
        return number >= 9e15 ? UINT64_MAX : (uint64_t)number;
    }
    const char *text = luaL_checkstring(L, index);
    if (text_parse_size(text, &bytes) < 0)
        luaL_argerror(L, index, "a size is a number of bytes or text like \"64KB\", \"1MB\"");
    return bytes;
}
