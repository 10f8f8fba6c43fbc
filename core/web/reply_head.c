/* The head of a response object: see reply_head.h. */
#include "web/reply_head.h"

#include "http/response.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>

int reply_head_field(lua_State *L, int index, const char *name)
{
    lua_pushstring(L, name);
    return lua_rawget(L, index);
}

int reply_head_status(lua_State *L, int index)
{
    reply_head_field(L, index, "status");
    lua_Integer status = lua_isnil(L, -1) ? 200 : lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (status < 200 || status > 599)
        luaL_error(L, "%d is not a status for an answer: use 200 to 599", (int)status);
    return (int)status;
}

/* Writes one header line; name at `name`, value on top. */
static void write_header(lua_State *L, struct request *rq, int name)
{
    size_t name_len;
    size_t value_len;
    if (lua_type(L, name) != LUA_TSTRING || !lua_isstring(L, -1))
        luaL_error(L, "headers are names with a text or a list of texts");
    const char *name_text = lua_tolstring(L, name, &name_len);
    const char *value = lua_tolstring(L, -1, &value_len);
    int err = response_header(rq, name_text, name_len, value, value_len);
    if (err == -EPERM)
        luaL_error(L, "header %s is written by the server: leave it out", name_text);
    if (err)
        luaL_error(L,
                   "header %s: a name is letters, digits and -; a value has no line break, NUL or "
                   "other control",
                   name_text);
}

void reply_head_write(lua_State *L, struct request *rq, int index, const char *except)
{
    if (reply_head_field(L, index, "headers") != LUA_TTABLE) {
        lua_pop(L, 1);
        return;
    }
    int headers = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, headers); lua_pop(L, 1)) {
        if (except && lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), except) == 0)
            continue;
        if (!lua_istable(L, -1)) {
            lua_pushvalue(L, -1); /* lua_tolstring may change a number in place */
            write_header(L, rq, headers + 1);
            lua_pop(L, 1);
            continue;
        }
        int list = lua_gettop(L);
        for (lua_Integer i = 1; lua_rawgeti(L, list, i) != LUA_TNIL; i++) {
            write_header(L, rq, headers + 1);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

const char *reply_head_push_header(lua_State *L, int index, const char *name)
{
    if (reply_head_field(L, index, "headers") != LUA_TTABLE)
        return NULL;
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}
