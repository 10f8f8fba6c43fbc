/* `req`, as handlers see it: see bind_request.h. Fields are made when they are asked for; what is
 * made once (params, state, what Lua's getters return) is kept in a table per request. */
#include "web/bind_request.h"

#include "http/method.h"
#include "http/session.h"
#include "net/address.h"
#include "task/task.h"
#include "task/vm.h"
#include "value/binding.h"
#include "value/units.h"
#include "web/app.h"
#include "web/handler.h"
#include "web/request_body.h"
#include "web/request_box.h"
#include "web/request_headers.h"
#include "web/request_user.h"

#include <lauxlib.h>
#include <string.h>

#define REQUEST_TYPE "neap.request"

void bind_request_push(lua_State *L, const struct request *rq)
{
    request_box_push(L, rq, REQUEST_TYPE);
}

struct request *bind_request_check(lua_State *L, int index)
{
    return request_box_open(L, luaL_checkudata(L, index, REQUEST_TYPE));
}

void bind_request_release(lua_State *L, struct request *rq)
{
    if (request_user(rq)->cache_ref)
        luaL_unref(L, LUA_REGISTRYINDEX, request_user(rq)->cache_ref);
    if (request_user(rq)->after_ref)
        luaL_unref(L, LUA_REGISTRYINDEX, request_user(rq)->after_ref);
    request_user(rq)->cache_ref = 0;
    request_user(rq)->after_ref = 0;
    vm_of(L)->requests--;
}

/* ---- fields ---- */

enum field {
    FIELD_METHOD = 1,
    FIELD_PATH,
    FIELD_RAW_PATH,
    FIELD_RAW_QUERY,
    FIELD_PARAMS,
    FIELD_HEADERS,
    FIELD_AUTHORITY,
    FIELD_PEER_IP,
    FIELD_PEER_PORT,
    FIELD_PORT,
    FIELD_ID,
    FIELD_ROUTE,
    FIELD_STATE,
    FIELD_ALLOW,
    FIELD_TRAILERS,
    FIELD_VERSION,
};

static const char *const field_names[] = {
    [FIELD_METHOD] = "method",       [FIELD_PATH] = "path",       [FIELD_RAW_PATH] = "raw_path",
    [FIELD_RAW_QUERY] = "raw_query", [FIELD_PARAMS] = "params",   [FIELD_HEADERS] = "headers",
    [FIELD_AUTHORITY] = "authority", [FIELD_PEER_IP] = "peer_ip", [FIELD_PEER_PORT] = "peer_port",
    [FIELD_PORT] = "port",           [FIELD_ID] = "id",           [FIELD_ROUTE] = "route",
    [FIELD_STATE] = "state",         [FIELD_ALLOW] = "allow",     [FIELD_TRAILERS] = "trailers",
    [FIELD_VERSION] = "version",
};
#define FIELD_COUNT (sizeof(field_names) / sizeof(*field_names))

static void push_params(lua_State *L, const struct request *rq)
{
    size_t len;
    const char *path = request_path(rq, &len);
    lua_createtable(L, 0, rq->param_count);
    for (int i = 0; i < rq->param_count; i++) {
        lua_pushlstring(L, path + rq->params[i].value.offset, rq->params[i].value.len);
        lua_setfield(L, -2, rq->params[i].name);
    }
}

/* Either end of the connection: `want_port` or its host. */
static void push_end(lua_State *L, struct request *rq, bool is_peer, bool want_port)
{
    struct conn *conn = session_conn_of(rq);
    struct address addr = {.len = sizeof(addr.sa)};
    int err = !conn     ? -1
              : is_peer ? getpeername(conn_fd(conn), &addr.sa.any, &addr.len)
                        : getsockname(conn_fd(conn), &addr.sa.any, &addr.len);
    if (err || address_is_unix(&addr)) {
        lua_pushnil(L);
    } else if (want_port) {
        lua_pushinteger(L, address_port(&addr));
    } else {
        char host[64];
        address_host(&addr, host, sizeof(host));
        lua_pushstring(L, host);
    }
}

static void push_id(lua_State *L, const struct request *rq)
{
    lua_pushfstring(L, "%d-%d", (int)(rq->handle >> 32), (int)rq->id);
}

static void push_allow(lua_State *L, const struct request *rq)
{
    char text[128];
    if (rq->route > 0 || rq->allow == 0) {
        lua_pushnil(L);
        return;
    }
    size_t len = method_list(rq->allow, text, sizeof(text));
    lua_pushlstring(L, text, len);
}

static void push_trailers(lua_State *L, const struct request *rq)
{
    lua_createtable(L, 0, rq->trailer_count);
    if (rq->stage != REQUEST_WHOLE)
        return; /* the last may have a name and no value yet */
    const char *at = rq->trailers.data;
    const char *end = at + rq->trailers.len;
    while (at && at < end) {
        const char *value = at + strlen(at) + 1;
        luaL_Buffer lower;
        luaL_buffinit(L, &lower);
        for (const char *c = at; *c; c++)
            luaL_addchar(&lower, *c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
        luaL_pushresult(&lower);
        lua_pushstring(L, value);
        lua_settable(L, -3);
        at = value + strlen(value) + 1;
    }
}

static void push_route(lua_State *L, const struct request *rq)
{
    struct app *app = vm_of(L)->app;
    if (rq->route > 0 && rq->route <= app->count)
        lua_pushstring(L, app->routes[rq->route].name);
    else
        lua_pushnil(L);
}

/* Pushes a field. True when it is to be kept: made once per request. */
static bool push_field(lua_State *L, struct request *rq, enum field field)
{
    size_t len;
    const char *text;
    switch (field) {
    case FIELD_METHOD:
        text = request_method(rq, &len);
        lua_pushlstring(L, text, len);
        return false;
    case FIELD_PATH:
        text = request_path(rq, &len);
        lua_pushlstring(L, text, len);
        return false;
    case FIELD_RAW_PATH: request_box_push_span(L, rq, rq->path); return false;
    case FIELD_RAW_QUERY: request_box_push_span(L, rq, rq->query); return false;
    case FIELD_PARAMS: push_params(L, rq); return true;
    case FIELD_HEADERS: request_headers_push(L, rq); return true;
    case FIELD_AUTHORITY: request_box_push_span(L, rq, rq->host); return false;
    case FIELD_PEER_IP: push_end(L, rq, true, false); return true;
    case FIELD_PEER_PORT: push_end(L, rq, true, true); return true;
    case FIELD_PORT: push_end(L, rq, false, true); return true;
    case FIELD_ID: push_id(L, rq); return false;
    case FIELD_ROUTE: push_route(L, rq); return false;
    case FIELD_STATE: lua_newtable(L); return true;
    case FIELD_ALLOW: push_allow(L, rq); return false;
    case FIELD_TRAILERS: push_trailers(L, rq); return rq->stage == REQUEST_WHOLE;
    case FIELD_VERSION: lua_pushstring(L, rq->is_http10 ? "1.0" : "1.1"); return false;
    }
    lua_pushnil(L);
    return false;
}

/* Pushes the table of what was made once; creates it. */
void request_box_push_cache(lua_State *L, struct request *rq)
{
    if (request_user(rq)->cache_ref) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, request_user(rq)->cache_ref);
        return;
    }
    lua_newtable(L);
    lua_pushvalue(L, -1);
    request_user(rq)->cache_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Keeps the value on top under the key at 2. */
static int keep_value(lua_State *L, struct request *rq)
{
    request_box_push_cache(L, rq);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    return 1;
}

/* req.name: a method, a field, or what a getter written in Lua returns. Upvalues: methods and
 * fields, getters. */
static int request_index(lua_State *L)
{
    lua_pushvalue(L, 2);
    int type = lua_rawget(L, lua_upvalueindex(1));
    if (type == LUA_TFUNCTION)
        return 1;
    struct request *rq = bind_request_check(L, 1);
    if (request_user(rq)->cache_ref) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, request_user(rq)->cache_ref);
        lua_pushvalue(L, 2);
        if (lua_rawget(L, -2) != LUA_TNIL)
            return 1;
        lua_pop(L, 2);
    }
    if (type == LUA_TNUMBER) {
        bool keeps = push_field(L, rq, (enum field)lua_tointeger(L, -1));
        return keeps ? keep_value(L, rq) : 1;
    }
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TFUNCTION)
        return 0;
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    return keep_value(L, rq);
}

/* req.name = value: kept with the request (middleware adds things like req.user). */
static int request_newindex(lua_State *L)
{
    struct request *rq = bind_request_check(L, 1);
    lua_settop(L, 3);
    keep_value(L, rq);
    return 0;
}

/* req:header(name) -> the first value, or nil */
static int request_get_header(lua_State *L)
{
    struct request *rq = bind_request_check(L, 1);
    size_t name_len;
    size_t len;
    const char *name = luaL_checklstring(L, 2, &name_len);
    const char *value = request_header(rq, name, name_len, &len);
    if (!value)
        return 0;
    lua_pushlstring(L, value, len);
    return 1;
}

/* ---- the rest ---- */

/* req:is_connected() -> boolean */
static int request_is_connected(lua_State *L)
{
    struct request_box *box = luaL_checkudata(L, 1, REQUEST_TYPE);
    struct request *rq = request_box_find(box);
    lua_pushboolean(L,
                    rq && rq->session && !rq->is_disconnected && !session_conn_of(rq)->is_broken);
    return 1;
}

/* req:after(fn): fn runs when the last byte of the answer has left, or the client has. */
static int request_after(lua_State *L)
{
    struct request *rq = bind_request_check(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (!request_user(rq)->task)
        return luaL_error(L, "req:after: the handler has ended");
    if (!request_user(rq)->after_ref) {
        lua_newtable(L);
        request_user(rq)->after_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, request_user(rq)->after_ref);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    return 0;
}

static int request_tostring(lua_State *L)
{
    struct request_box *box = luaL_checkudata(L, 1, REQUEST_TYPE);
    struct request *rq = request_box_find(box);
    if (!rq) {
        lua_pushliteral(L, "request (over)");
        return 1;
    }
    size_t method_len;
    const char *method = request_method(rq, &method_len);
    lua_pushfstring(L, "request (%s ", method);
    request_box_push_span(L, rq, rq->path);
    lua_pushliteral(L, ")");
    lua_concat(L, 3);
    return 1;
}

/* Stack: core, class, methods, getters. */
static void make_request_type(lua_State *L)
{
    luaL_newmetatable(L, REQUEST_TYPE);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    lua_pushcclosure(L, request_index, 2);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, request_newindex);
    lua_setfield(L, -2, "__newindex");
    lua_pushcfunction(L, request_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

static int bind_request(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"body", request_body_read},    {"read_chunk", request_body_read_chunk},
        {"header", request_get_header}, {"is_connected", request_is_connected},
        {"after", request_after},       {NULL, NULL}};
    lua_newtable(L);
    luaL_newlib(L, methods);
    for (size_t i = 1; i < FIELD_COUNT; i++) {
        lua_pushinteger(L, (lua_Integer)i);
        lua_setfield(L, -2, field_names[i]);
    }
    lua_newtable(L); /* stack: core, class, methods, getters */
    request_headers_make_type(L);
    make_request_type(L);
    lua_setfield(L, -3, "getters");
    lua_setfield(L, -2, "methods");
    lua_setfield(L, -2, "request");
    return 0;
}

BINDING(bind_request)
