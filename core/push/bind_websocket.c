/* `ws`, as handlers see it. */
#include "push/topic_choice.h"
#include "push/visit.h"
#include "push/wsock.h"
#include "push/wsub.h"
#include "task/task.h"
#include "task/vm.h"
#include "value/binding.h"
#include "value/units.h"

#include <lauxlib.h>
#include <string.h>

#define WS_TYPE "neap.websocket"

struct ws_box {
    slot_handle handle;
};

slot_handle *wsock_push(lua_State *L, slot_handle handle)
{
    struct ws_box *box = lua_newuserdatauv(L, sizeof(*box), 0);
    box->handle = handle;
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm_of(L)->websocket_ref);
    lua_setmetatable(L, -2);
    return &box->handle;
}

/* NULL: it was closed, and its handler has ended. */
static struct wsock *wsock_check(lua_State *L)
{
    struct ws_box *box = luaL_checkudata(L, 1, WS_TYPE);
    return wsock_find(vm_of(L), box->handle);
}

/* nil, "closed", code, reason */
static int push_closed(lua_State *L, const struct wsock *wsock)
{
    lua_pushnil(L);
    lua_pushliteral(L, "closed");
    if (!wsock || !wsock->end)
        return 2;
    lua_pushinteger(L, wsock->end->code);
    lua_pushlstring(L, wsock->end->reason, wsock->end->reason_len);
    return 4;
}

/* ---- receiving ---- */

/* nil, "reload": the next generation's handler takes what comes */
static int push_reload(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "reload");
    return 2;
}

static int recv_finish(lua_State *L, struct wait *wait)
{
    struct wsock *wsock = wsock_check(L);
    if (wsock && wsock_is_leaving(wsock))
        return push_reload(L);
    if (wait->outcome == WAIT_TIMEOUT) {
        lua_pushnil(L);
        lua_pushliteral(L, "timeout");
        return 2;
    }
    int count = wsock ? wsock_push_message(L, wsock) : 0;
    return count > 0 ? count : push_closed(L, wsock);
}

static int ws_lua_recv(lua_State *L);

static int recv_again(lua_State *L, struct wait *wait)
{
    (void)wait;
    return ws_lua_recv(L);
}

/* ws:recv([timeout]) -> message, "text" | "binary"; nil, "timeout" | "reload"; nil, "closed", code,
 * reason */
static int ws_lua_recv(lua_State *L)
{
    struct wsock *wsock = wsock_check(L);
    uint64_t timeout_ms = lua_isnoneornil(L, 2) ? WAIT_FOREVER : units_check_duration(L, 2);
    if (wsock && wsock->has_callbacks)
        return luaL_error(L, "messages of this socket go to its callback `message`");
    if (wsock && wsock_is_leaving(wsock))
        return task_answer_gone(L, push_reload(L));
    if (wsock && wsock->received && task_had_enough(L, 0))
        return task_yield_then(L, recv_again);
    int count = wsock ? wsock_push_message(L, wsock) : 0;
    if (count > 0)
        return count;
    if (!wsock || wsock->end)
        return task_answer_gone(L, push_closed(L, wsock));
    if (wsock_has_reader(wsock))
        return luaL_error(L, "another task is receiving from this socket");
    struct wait *wait = task_wait(L);
    wait->finish = recv_finish;
    wsock_await_message(wsock, wait);
    return task_park(L, timeout_ms);
}

/* ---- sending ---- */

/* The kind: true for text. */
static bool kind_arg(lua_State *L, int index)
{
    static const char *const kinds[] = {"text", "binary", NULL};
    return luaL_checkoption(L, index, "text", kinds) == 0;
}

/* Whether what is sent can still arrive. A failed write is told to the socket later in this
 * turn. */
static bool is_writable(const struct wsock *wsock)
{
    return wsock && ws_is_open(&wsock->ws) && !ws_conn(&wsock->ws)->is_broken;
}

static int bind_websocket_push_sent(lua_State *L, const struct wsock *wsock)
{
    if (!is_writable(wsock))
        return push_closed(L, wsock);
    lua_pushboolean(L, 1);
    return 1;
}

static int send_finish(lua_State *L, struct wait *wait)
{
    (void)wait;
    return bind_websocket_push_sent(L, wsock_check(L));
}

/* The client is quick: after a burst, others get their turn. */
static int send_at_once(lua_State *L, struct wsock *wsock, size_t len)
{
    return task_had_enough(L, len) ? task_yield_then(L, send_finish)
                                   : bind_websocket_push_sent(L, wsock);
}

/* ws:send(data [, kind]) -> true | nil, "closed"; parks while much is unsent */
static int ws_lua_send(lua_State *L)
{
    size_t len;
    struct wsock *wsock = wsock_check(L);
    const char *data = luaL_checklstring(L, 2, &len);
    bool is_text = kind_arg(L, 3);
    if (!is_writable(wsock))
        return task_answer_gone(L, push_closed(L, wsock));
    ws_send(&wsock->ws, data, len, is_text);
    if (ws_unsent(&wsock->ws) <= CONN_HIGH_WATER)
        return send_at_once(L, wsock, len);
    struct wait *wait = task_wait(L);
    wait->finish = send_finish;
    wsock_await_room(wsock, wait);
    return task_park(L, WAIT_FOREVER);
}

/* ws:try_send(data [, kind]) -> true | false when much is unsent | nil, "closed"; never parks */
static int ws_lua_try_send(lua_State *L)
{
    size_t len;
    struct wsock *wsock = wsock_check(L);
    const char *data = luaL_checklstring(L, 2, &len);
    bool is_text = kind_arg(L, 3);
    if (!is_writable(wsock))
        return push_closed(L, wsock);
    bool has_room = ws_unsent(&wsock->ws) <= CONN_HIGH_WATER;
    if (has_room)
        ws_send(&wsock->ws, data, len, is_text);
    lua_pushboolean(L, has_room);
    return 1;
}

/* ws:close([code [, reason]]) */
static int ws_lua_close(lua_State *L)
{
    size_t len;
    struct wsock *wsock = wsock_check(L);
    lua_Integer code = luaL_optinteger(L, 2, 1000);
    const char *reason = luaL_optlstring(L, 3, "", &len);
    luaL_argcheck(L,
                  code == 1000 ||
                      (code >= 1001 && code <= 1014 && code != 1004 && code != 1005 &&
                       code != 1006) ||
                      (code >= 3000 && code <= 4999),
                  2, "a close code is 1000 to 1014 without 1004 to 1006, or 3000 to 4999");
    luaL_argcheck(L, len <= 123, 3, "a reason has at most 123 bytes");
    if (wsock)
        ws_close(&wsock->ws, (int)code, reason, len);
    return 0;
}

/* ws:on_handoff(fn): when a new generation serves, ws:recv and ws:messages end; fn is called once
 * the handler has returned, and gives the plain data that the new handler finds in ws.handoff. */
static int ws_lua_on_handoff(lua_State *L)
{
    struct wsock *wsock = wsock_check(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (!wsock)
        return 0;
    if (wsock->has_callbacks)
        return luaL_error(L, "a socket with callbacks survives a reload by itself, with ws.data");
    lua_settop(L, 2);
    wsock_keep(L, wsock, WSOCK_ON_HANDOFF);
    wsock->has_on_handoff = true;
    return 0;
}

/* ---- subscriptions ---- */

static int slow_policy(lua_State *L, bool is_envelope)
{
    static const char *const words[] = {"gap", "latest", "close", NULL};
    if (lua_getfield(L, 3, "slow") == LUA_TNIL)
        return is_envelope ? SLOW_GAP : SLOW_CLOSE; /* only an envelope can carry a gap */
    return luaL_checkoption(L, -1, NULL, words);
}

/* ws:subscribe(topics [, {after=, slow=, envelope=} [, visits]]) -> true | nil, "closed" |
 * "full" */
static int ws_lua_subscribe(lua_State *L)
{
    struct topic_choice choice;
    size_t len = 0;
    lua_settop(L, 4);
    if (lua_isnil(L, 3)) {
        lua_newtable(L);
        lua_replace(L, 3);
    }
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_getfield(L, 3, "envelope");
    bool is_envelope = lua_toboolean(L, -1);
    int slow = slow_policy(L, is_envelope);
    lua_getfield(L, 3, "after");
    const char *after = lua_isnil(L, -1) ? NULL : luaL_checklstring(L, -1, &len);
    topic_choice_check(L, 2);
    if (topic_choice_start(L, &choice, after, len) < 0)
        return luaL_argerror(L, 3, "after: no cursor that a topic gave out");
    struct wsock *wsock = wsock_check(L);
    if (!wsock || wsock->end)
        return push_closed(L, wsock);
    int visits = visit_take(L, 4); /* the last that raises */
    bool is_open = topic_choice_open(L, 2, &choice);
    bool has_room = is_open && wsub_open(wsock, &choice, is_envelope, slow, visits);
    if (is_open)
        topic_choice_drop(&choice);
    if (has_room) {
        lua_pushboolean(L, 1);
        return 1;
    }
    visit_end(vm_of(L), visits);
    lua_pushnil(L);
    lua_pushliteral(L, "full");
    return 2;
}

/* ws:unsubscribe(topic) -> boolean: whether it was subscribed */
static int ws_lua_unsubscribe(lua_State *L)
{
    struct topic_choice choice;
    topic_choice_check(L, 2);
    struct wsock *wsock = wsock_check(L);
    bool is_open = topic_choice_open(L, 2, &choice);
    lua_pushboolean(L, is_open && wsock && wsub_close(wsock, choice.topics[0]));
    if (is_open)
        topic_choice_drop(&choice);
    return 1;
}

/* ---- fields ---- */

static int push_data(lua_State *L, const struct wsock *wsock)
{
    if (!wsock)
        return 0;
    if (wsock_push_kept(L, wsock, WSOCK_DATA) != LUA_TNIL)
        return 1;
    lua_newtable(L);
    lua_pushvalue(L, -1);
    wsock_keep(L, wsock, WSOCK_DATA);
    return 1;
}

static int push_handoff(lua_State *L, const struct wsock *wsock)
{
    if (!wsock)
        return 0;
    wsock_push_kept(L, wsock, WSOCK_HANDOFF);
    return 1;
}

/* ws.data, ws.handoff, ws.id, or a method (upvalue 1) */
static int ws_index(lua_State *L)
{
    const char *name = luaL_checkstring(L, 2);
    if (strcmp(name, "data") == 0)
        return push_data(L, wsock_check(L));
    if (strcmp(name, "handoff") == 0)
        return push_handoff(L, wsock_check(L));
    if (strcmp(name, "id") == 0) {
        struct ws_box *box = luaL_checkudata(L, 1, WS_TYPE);
        lua_pushinteger(L, (lua_Integer)box->handle);
        return 1;
    }
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    return 1;
}

static int bind_websocket(lua_State *L)
{
    static const luaL_Reg methods[] = {{"recv", ws_lua_recv},
                                       {"send", ws_lua_send},
                                       {"try_send", ws_lua_try_send},
                                       {"close", ws_lua_close},
                                       {"on_handoff", ws_lua_on_handoff},
                                       {"subscribe", ws_lua_subscribe},
                                       {"unsubscribe", ws_lua_unsubscribe},
                                       {NULL, NULL}};
    luaL_newmetatable(L, WS_TYPE);
    lua_pushvalue(L, -1);
    vm_of(L)->websocket_ref = luaL_ref(L, LUA_REGISTRYINDEX); /* each message needs it */
    luaL_newlib(L, methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -4, "websocket_methods"); /* stack: core, metatable, methods */
    lua_pushcclosure(L, ws_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    return 0;
}

BINDING(bind_websocket)
