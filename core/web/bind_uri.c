/* Percent-encoding and query strings for Lua. Scratch buffers are Lua userdata, so that an error
 * frees them. */
#include "http/uri.h"
#include "value/binding.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>

#define URI_MAX_FIELDS 1000 /* of a query or form, unless the caller says otherwise */
#define QUERY_SMALL 512     /* bytes: decoded on the stack */

/* core.uri_decode(s [, plus]) -> string | nil, "invalid" */
static int bind_uri_decode(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    bool plus = lua_toboolean(L, 2);
    char *out = lua_newuserdatauv(L, len, 0);

    ssize_t decoded = uri_decode(out, text, len, plus);

    if (decoded >= 0) {
        lua_pushlstring(L, out, (size_t)decoded);
        return 1;
    }
    lua_pushnil(L);
    lua_pushliteral(L, "invalid");
    return 2;
}

/* core.uri_encode(s) -> string */
static int bind_uri_encode(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    luaL_argcheck(L, len < SIZE_MAX / 3, 1, "too long");
    char *out = lua_newuserdatauv(L, len * 3, 0);

    size_t encoded = uri_encode(out, text, len);

    lua_pushlstring(L, out, encoded);
    return 1;
}

/* Adds name = value, both on top, to the two tables below them: the first value and the list of
 * all. */
static void query_add(lua_State *L, int firsts, int lists)
{
    lua_pushvalue(L, -2); /* stack: name, value, name */
    if (lua_rawget(L, lists) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, firsts);
        lua_createtable(L, 1, 0); /* stack: name, value, list */
        lua_pushvalue(L, -3);
        lua_pushvalue(L, -2);
        lua_rawset(L, lists);
    }
    lua_insert(L, -2); /* stack: name, list, value */
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 2);
}

/* The same without lists. */
static void query_add_first(lua_State *L, int firsts)
{
    lua_pushvalue(L, -2); /* stack: name, value, name */
    bool is_first = lua_rawget(L, firsts) == LUA_TNIL;
    lua_pop(L, 1);
    if (is_first)
        lua_rawset(L, firsts);
    else
        lua_pop(L, 2);
}

/* core.parse_query(s [, max [, only_firsts]]) -> name -> first value [, name -> list of values] |
 * nil, "too_many" */
static int bind_parse_query(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    lua_Integer max = luaL_optinteger(L, 2, URI_MAX_FIELDS);
    luaL_argcheck(L, max >= 0 && max <= UINT32_MAX, 2, "out of range");
    bool wants_lists = !lua_toboolean(L, 3);
    char small[QUERY_SMALL];
    char *buffer = len <= sizeof(small) ? small : lua_newuserdatauv(L, len, 0);
    lua_newtable(L);
    int firsts = lua_gettop(L);
    if (wants_lists)
        lua_newtable(L);

    struct uri_query query;
    struct uri_field field;
    int more;
    uri_query_init(&query, text, len, buffer, (uint32_t)max);
    while ((more = uri_query_next(&query, &field)) > 0) {
        lua_pushlstring(L, field.name, field.name_len);
        lua_pushlstring(L, field.value, field.value_len);
        if (wants_lists)
            query_add(L, firsts, firsts + 1);
        else
            query_add_first(L, firsts);
    }
    if (more == 0)
        return wants_lists ? 2 : 1;

    lua_pushnil(L);
    lua_pushliteral(L, "too_many");
    return 2;
}

static int bind_uri(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"uri_decode", bind_uri_decode},
        {"uri_encode", bind_uri_encode},
        {"parse_query", bind_parse_query},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
    return 0;
}

BINDING_PORTABLE(bind_uri)
