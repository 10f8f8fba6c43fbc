/* `req.headers`: names in any case, made as they are asked for. And the box that it shares with
 * req. */
#include "web/request_headers.h"

#include "web/request_box.h"

#include <lauxlib.h>
#include <string.h>
#include <strings.h>

#define HEADERS_TYPE "neap.headers"

void request_box_push(lua_State *L, const struct request *rq, const char *type)
{
    struct request_box *box = lua_newuserdatauv(L, sizeof(*box), 0);
    box->handle = rq->handle;
    box->server = rq->server;
    luaL_setmetatable(L, type);
}

struct request *request_box_open(lua_State *L, const struct request_box *box)
{
    struct request *rq = request_box_find(box);
    if (!rq)
        luaL_error(L, "this request is over: keep what you need from it in locals before it ends");
    return rq;
}

void request_box_push_span(lua_State *L, const struct request *rq, struct span span)
{
    lua_pushlstring(L, request_at(rq, span), span.len);
}

/* headers[name] -> the first value, or nil; headers:all(name) -> list */
static int headers_index(lua_State *L)
{
    struct request *rq = request_box_open(L, luaL_checkudata(L, 1, HEADERS_TYPE));
    size_t name_len;
    size_t len;
    const char *name = luaL_checklstring(L, 2, &name_len);
    if (name_len == 3 && memcmp(name, "all", 3) == 0) {
        lua_pushvalue(L, lua_upvalueindex(1));
        return 1;
    }
    const char *value = request_header(rq, name, name_len, &len);
    if (!value)
        return 0;
    lua_pushlstring(L, value, len);
    return 1;
}

static int headers_all(lua_State *L)
{
    struct request *rq = request_box_open(L, luaL_checkudata(L, 1, HEADERS_TYPE));
    size_t len;
    const char *name = luaL_checklstring(L, 2, &len);
    lua_newtable(L);
    for (int i = 0, count = 0; i < rq->header_count; i++) {
        const struct header_span *header = &rq->headers[i];
        if (header->name.len != len || strncasecmp(request_at(rq, header->name), name, len) != 0)
            continue;
        request_box_push_span(L, rq, header->value);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* Iterates over name (in lower case), value; the control is the number of the header. */
static int headers_next(lua_State *L)
{
    struct request *rq = request_box_open(L, luaL_checkudata(L, 1, HEADERS_TYPE));
    lua_Integer i = lua_tointeger(L, lua_upvalueindex(1));
    if (i >= rq->header_count)
        return 0;
    lua_pushinteger(L, i + 1);
    lua_replace(L, lua_upvalueindex(1));
    const struct header_span *header = &rq->headers[i];
    const char *name = request_at(rq, header->name);
    luaL_Buffer lower;
    luaL_buffinit(L, &lower);
    for (uint32_t at = 0; at < header->name.len; at++)
        luaL_addchar(&lower, name[at] >= 'A' && name[at] <= 'Z' ? name[at] + 32 : name[at]);
    luaL_pushresult(&lower);
    request_box_push_span(L, rq, header->value);
    return 2;
}

static int headers_pairs(lua_State *L)
{
    luaL_checkudata(L, 1, HEADERS_TYPE);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, headers_next, 1);
    lua_pushvalue(L, 1);
    return 2;
}

void request_headers_push(lua_State *L, const struct request *rq)
{
    request_box_push(L, rq, HEADERS_TYPE);
}

void request_headers_make_type(lua_State *L)
{
    luaL_newmetatable(L, HEADERS_TYPE);
    lua_pushcfunction(L, headers_all);
    lua_pushcclosure(L, headers_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, headers_pairs);
    lua_setfield(L, -2, "__pairs");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
