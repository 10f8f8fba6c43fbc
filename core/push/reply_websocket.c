/* Answers with a WebSocket: the handshake's rules, then the handler or the callback `open` in the
 * request's own task. */
#include "base/text.h"
#include "http/response.h"
#include "http/session.h"
#include "push/wsock.h"
#include "task/task.h"
#include "task/vm.h"
#include "value/units.h"
#include "web/app.h"
#include "web/bind_request.h"
#include "web/reply.h"
#include "web/reply_head.h"
#include "web/request_user.h"

#include <lauxlib.h>
#include <string.h>

#define MAX_MESSAGE (1u << 20)
#define MAX_FRAGMENTS 16384
#define PING_MS 25000
#define PONG_MS 10000
#define CLOSE_MS 5000

static int reply_websocket_refuse(struct request *rq, int status, const char *why)
{
    response_begin(rq, status);
    if (status == 426) {
        response_header(rq, "sec-websocket-version", 21, "13", 2);
        response_header(rq, "upgrade", 7, "websocket", 9);
    }
    response_type(rq, "text/plain; charset=utf-8");
    response_send(rq, why, strlen(why));
    return 0;
}

/* ---- what the route says: the table at `spec` ---- */

/* Whether a page from there may connect: by default only our own. */
static bool is_origin_allowed(lua_State *L, const struct request *rq, int spec,
                              const struct ws_offer *offer)
{
    size_t len;
    const char *origin = request_header(rq, "origin", 6, &len);
    if (!offer->has_origin || offer->is_same_origin)
        return true;
    bool is_allowed = false;
    int type = lua_getfield(L, spec, "origins");
    if (type == LUA_TSTRING) {
        is_allowed = strcmp(lua_tostring(L, -1), "*") == 0;
    } else if (type == LUA_TTABLE) {
        for (lua_Integer i = 1; !is_allowed && lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
            size_t one_len = 0;
            const char *one = lua_tolstring(L, -1, &one_len);
            is_allowed = one && text_equal_nocase(origin, len, one, one_len);
            lua_pop(L, 1);
        }
    }
    return is_allowed;
}

static uint64_t duration_field(lua_State *L, int spec, const char *name, uint64_t fallback)
{
    uint64_t ms = lua_getfield(L, spec, name) == LUA_TNIL ? fallback : units_check_duration(L, -1);
    lua_pop(L, 1);
    return ms;
}

static void options_read(lua_State *L, int spec, struct ws_options *options)
{
    *options = (struct ws_options){
        .max_fragments = MAX_FRAGMENTS, .pong_ms = PONG_MS, .close_ms = CLOSE_MS};
    options->ping_ms = (uint32_t)duration_field(L, spec, "ping", PING_MS);
    options->max_message =
        lua_getfield(L, spec, "max_message") == LUA_TNIL ? MAX_MESSAGE : units_check_size(L, -1);
    options->deflate = lua_getfield(L, spec, "compress") == LUA_TNIL || lua_toboolean(L, -1);
    lua_pop(L, 2);
}

/* Pushes the first of our subprotocols that the client offers, or nil. */
static const char *push_protocol(lua_State *L, const struct request *rq, int spec)
{
    if (lua_getfield(L, spec, "protocols") == LUA_TTABLE)
        for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
            size_t len;
            const char *protocol = luaL_checklstring(L, -1, &len);
            if (ws_offers_protocol(rq, protocol, len))
                return protocol;
            lua_pop(L, 1);
        }
    lua_pushnil(L);
    return NULL;
}

/* ---- the handler's time ---- */

/* Pushes the handler or the callback `open`, the socket's userdata and the request: from here on
 * nothing raises until the socket has a task. Where its handle goes. */
static slot_handle *push_call(lua_State *L, const struct request *rq, int spec, bool has_callbacks)
{
    lua_getfield(L, spec, has_callbacks ? "open" : "handler");
    slot_handle *handle = wsock_push(L, 0);
    bind_request_push(L, rq);
    return handle;
}

/* The end of the task closes it, unless it departs. */
static int handler_returned(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    return wsock_depart(L, (struct wsock *)context); /* lives as long as its task */
}

/* Calls handler(ws, req) or open(ws, req), which push_call has pushed. */
static int reply_websocket_run(lua_State *L, struct wsock *wsock)
{
    if (lua_isnil(L, -3))
        return 0;
    lua_callk(L, 2, 0, (lua_KContext)wsock, handler_returned);
    return handler_returned(L, LUA_OK, (lua_KContext)wsock);
}

int wsock_reply_again(lua_State *L)
{
    struct request *rq = lua_touserdata(L, 1);
    struct wsock *wsock = lua_touserdata(L, 2);
    lua_rawgeti(L, LUA_REGISTRYINDEX, wsock->spec_ref);
    *push_call(L, rq, 3, wsock->has_callbacks) = wsock->handle;
    return reply_websocket_run(L, wsock);
}

/* Reads what the route says of its sockets; what of it is text stays on the stack. */
static void plan_read(lua_State *L, const struct request *rq, int spec, struct wsock_plan *plan)
{
    plan->protocol = push_protocol(L, rq, spec);
    plan->has_callbacks = lua_getfield(L, spec, "handler") == LUA_TNIL;
    lua_getfield(L, spec, "feed");
    plan->is_feed = lua_toboolean(L, -1);
    lua_pop(L, 2);
}

/* A reference to the table at `spec`: the route's, so that all its sockets have but one, unless
 * it was made for this socket alone. */
static void plan_spec(lua_State *L, const struct request *rq, int spec, struct wsock_plan *plan)
{
    plan->spec_ref = vm_of(L)->app->routes[rq->route].ws_ref;
    lua_rawgeti(L, LUA_REGISTRYINDEX, plan->spec_ref); /* nil for LUA_NOREF */
    plan->owns_spec = !lua_rawequal(L, -1, spec);
    lua_pop(L, 1);
    if (!plan->owns_spec)
        return;
    lua_pushvalue(L, spec);
    plan->spec_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

static int reply_websocket(lua_State *L, struct request *rq, int index)
{
    struct ws_offer offer;
    struct ws_options options;
    struct wsock_plan plan = {.options = &options};
    reply_head_field(L, index, "ws");
    int spec = lua_gettop(L);
    ws_offer_read(rq, &offer);
    if (!offer.is_valid)
        return reply_websocket_refuse(rq, offer.refusal,
                                      "this address speaks WebSocket, version 13\n");
    if (!is_origin_allowed(L, rq, spec, &offer))
        return reply_websocket_refuse(rq, 403, "pages from there may not connect\n");

    options_read(L, spec, &options);
    plan_read(L, rq, spec, &plan);
    response_begin(rq, 101);
    reply_head_write(L, rq, index, NULL);
    slot_handle *handle = push_call(L, rq, spec, plan.has_callbacks);
    plan_spec(L, rq, spec, &plan); /* the last that raises: from the 101 on the task's end closes */
    struct wsock *wsock = wsock_open(vm_of(L), rq, &plan);
    if (!wsock)
        return session_is_reachable(rq) ? luaL_error(L, "not enough memory for the handshake") : 0;
    *handle = wsock->handle;
    request_user(rq)->kind = &reply_websocket_kind;
    request_user(rq)->thing = wsock;
    wsock_task_begins(wsock, task_of(L));
    return reply_websocket_run(L, wsock);
}

static void handler_failed(struct request *rq)
{
    wsock_close_failed(request_user(rq)->thing, false);
}

const struct reply_kind reply_websocket_kind = {
    .field = "ws",
    .type = LUA_TNONE,
    .reply = reply_websocket,
    .on_failed = handler_failed,
    .on_ended = wsock_leave,
    .go_on = wsock_arrive,
};
