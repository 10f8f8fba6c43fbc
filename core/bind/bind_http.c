/* `core.http`: one request at a time, as `neap.http` puts them together. The userdata holds a
 * handle; upvalue 1 of all functions is the vm's client, made when it is first needed. */
#if NEAP_HAS_CURL

#include "client/http_client.h"
#include "client/http_setup.h"
#include "client/http_transfer.h"
#include "client/http_url.h"
#include "task/origin.h"
#include "task/task.h"
#include "task/vm.h"
#include "value/binding.h"
#include "value/scratch.h"

#include <lauxlib.h>

#define TRANSFER_TYPE "neap.http.transfer"
#define HEADERS_MAX 200
#define READ_MOST 65536

/* ---- the client ---- */

static struct http_client *client_of(lua_State *L)
{
    struct http_client **box = lua_touserdata(L, lua_upvalueindex(1));
    if (!*box)
        *box = http_client_new(vm_of(L)->loop);
    return *box;
}

static int client_gc(lua_State *L)
{
    struct http_client **box = lua_touserdata(L, 1);
    if (*box)
        http_client_free(*box);
    *box = NULL;
    return 0;
}

/* reset(): ends every transfer and closes the kept connections */
static int http_reset(lua_State *L)
{
    http_client_reset(client_of(L));
    return 0;
}

/* maximum(per_host, total) */
static int http_maximum(lua_State *L)
{
    lua_Integer per_host = luaL_checkinteger(L, 1);
    lua_Integer total = luaL_checkinteger(L, 2);
    http_client_set_maximum(client_of(L), (long)per_host, (long)total);
    return 0;
}

/* join(base, reference) -> url, is_same_origin | nil */
static int http_join(lua_State *L)
{
    const char *base = luaL_checkstring(L, 1);
    const char *reference = luaL_checkstring(L, 2);
    struct bytes *copy = scratch_push(L); /* what may raise holds nothing of curl's */
    char *joined = http_url_join(base, reference);
    if (!joined)
        return 0;
    bool is_same = http_url_is_same_origin(base, joined);
    bytes_append_text(copy, joined);
    http_url_free(joined);
    lua_pushlstring(L, copy->data, copy->len);
    lua_pushboolean(L, is_same);
    return 2;
}

/* ---- waiting for a transfer ---- */

static struct http_transfer *transfer_find(lua_State *L)
{
    const slot_handle *box = luaL_checkudata(L, 1, TRANSFER_TYPE);
    struct http_client **client = lua_touserdata(L, lua_upvalueindex(1));
    return *client ? http_client_find(*client, *box) : NULL;
}

static void bind_http_on_change(void *owner)
{
    task_wake_wait(owner, 0);
}

static void waiter_undo(struct wait *wait)
{
    http_transfer_watch(wait->source, NULL, NULL);
}

/* Parks until something changes; `finish` looks whether that is what it waits for. */
static int wait_for_change(lua_State *L, struct http_transfer *transfer,
                           int (*finish)(lua_State *L, struct wait *wait), uint64_t timeout_ms)
{
    if (http_transfer_owner(transfer))
        return luaL_error(L, "another task is waiting for this transfer");
    struct wait *wait = task_wait(L);
    wait->undo = waiter_undo;
    wait->finish = finish;
    wait->source = transfer;
    http_transfer_watch(transfer, bind_http_on_change, wait);
    return task_park(L, timeout_ms);
}

/* For `finish`: what it waited for, NULL when another task has closed it. */
static struct http_transfer *transfer_changed(lua_State *L, const struct wait *wait)
{
    struct http_transfer *transfer = transfer_find(L);
    if (transfer && wait->outcome == WAIT_TIMEOUT)
        http_transfer_fail(transfer, "timeout");
    return transfer;
}

/* nil, error, detail */
static int bind_http_push_error(lua_State *L, const struct http_transfer *transfer)
{
    lua_pushnil(L);
    lua_pushstring(L, transfer ? http_transfer_error(transfer) : "closed");
    lua_pushstring(L, transfer ? http_transfer_detail(transfer) : "");
    return 3;
}

static void push_bytes(lua_State *L, const struct bytes *bytes)
{
    lua_pushlstring(L, bytes->data ? bytes->data : "", bytes->len);
}

/* ---- the answer ---- */

static int answer_finish(lua_State *L, struct wait *wait);

static int push_answer(lua_State *L, struct http_transfer *transfer)
{
    bool is_streamed = lua_toboolean(L, 2);
    if (transfer && http_transfer_phase(transfer) < (is_streamed ? HTTP_RECEIVING : HTTP_ENDED))
        return wait_for_change(L, transfer, answer_finish, WAIT_FOREVER); /* it has a deadline */
    bool is_whole = transfer && !http_transfer_error(transfer);
    bool has_begun = transfer && is_streamed && http_transfer_status(transfer) != 0;
    if (!is_whole && !has_begun)
        return bind_http_push_error(L, transfer);
    lua_pushinteger(L, http_transfer_status(transfer));
    push_bytes(L, http_transfer_head(transfer));
    return 2;
}

static int answer_finish(lua_State *L, struct wait *wait)
{
    return push_answer(L, transfer_changed(L, wait));
}

/* t:answer(is_streamed) -> status, header lines, when the head is there or else when all is | nil,
 * error, detail */
static int transfer_answer(lua_State *L)
{
    return push_answer(L, transfer_find(L));
}

/* t:body() -> all that was received */
static int transfer_body(lua_State *L)
{
    struct http_transfer *transfer = transfer_find(L);
    if (!transfer)
        return bind_http_push_error(L, NULL);
    push_bytes(L, http_transfer_body(transfer));
    return 1;
}

/* ---- the answer, piece by piece ---- */

static int piece_finish(lua_State *L, struct wait *wait);

static int push_piece(lua_State *L, struct http_transfer *transfer)
{
    if (!transfer)
        return bind_http_push_error(L, NULL);
    const struct bytes *body = http_transfer_body(transfer);
    if (body->len > 0) {
        size_t len = body->len < READ_MOST ? body->len : READ_MOST;
        lua_pushlstring(L, body->data, len);
        http_transfer_take(transfer, len);
        return 1;
    }
    if (http_transfer_phase(transfer) != HTTP_ENDED)
        return wait_for_change(L, transfer, piece_finish, (uint64_t)luaL_checkinteger(L, 2));
    return http_transfer_error(transfer) ? bind_http_push_error(L, transfer) : 0;
}

static int piece_finish(lua_State *L, struct wait *wait)
{
    return push_piece(L, transfer_changed(L, wait));
}

/* t:read(timeout_ms) -> what has arrived, or the next to arrive | nothing at the end | nil, error,
 * detail */
static int transfer_read(lua_State *L)
{
    luaL_checkinteger(L, 2);
    return push_piece(L, transfer_find(L));
}

/* ---- the request's body, piece by piece ---- */

static int sent_finish(lua_State *L, struct wait *wait);

static int bind_http_push_sent(lua_State *L, struct http_transfer *transfer)
{
    bool has_ended = !transfer || http_transfer_phase(transfer) == HTTP_ENDED;
    if (!has_ended && http_transfer_unsent(transfer) > HTTP_HIGH_WATER)
        return wait_for_change(L, transfer, sent_finish, WAIT_FOREVER);
    lua_pushboolean(L, !has_ended);
    return 1;
}

static int sent_finish(lua_State *L, struct wait *wait)
{
    return bind_http_push_sent(L, transfer_changed(L, wait));
}

/* t:send(data) -> whether more is wanted; parks while much is unsent */
static int transfer_send(lua_State *L)
{
    size_t len;
    struct http_transfer *transfer = transfer_find(L);
    const char *data = luaL_checklstring(L, 2, &len);
    if (transfer)
        http_transfer_send(transfer, data, len);
    return bind_http_push_sent(L, transfer);
}

/* t:end_upload() */
static int transfer_end_upload(lua_State *L)
{
    struct http_transfer *transfer = transfer_find(L);
    if (transfer)
        http_transfer_end_upload(transfer);
    return 0;
}

/* ---- life ---- */

static const char *bind_http_text_option(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name); /* the table keeps it alive */
    const char *text = lua_tostring(L, -1);
    lua_pop(L, 1);
    return text;
}

static lua_Integer number_option(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    lua_Integer number = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return number;
}

static bool flag_option(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    bool is_set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is_set;
}

static void header_options(lua_State *L, const char **headers)
{
    lua_getfield(L, 1, "headers");
    lua_Integer count = luaL_len(L, -1);
    luaL_argcheck(L, count <= HEADERS_MAX, 1, "too many headers");
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        headers[i - 1] = luaL_checkstring(L, -1);
        lua_pop(L, 1);
    }
    headers[count] = NULL;
    lua_pop(L, 1);
}

static void options_check(lua_State *L, struct http_options *options)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    *options = (struct http_options){
        .method = bind_http_text_option(L, "method"),
        .url = bind_http_text_option(L, "url"),
        .has_upload = flag_option(L, "has_upload"),
        .is_streamed = flag_option(L, "is_streamed"),
        .total_ms = (uint64_t)number_option(L, "total_ms"),
        .connect_ms = (uint64_t)number_option(L, "connect_ms"),
        .limit = (size_t)number_option(L, "limit"),
        .is_unverified = flag_option(L, "is_unverified"),
        .ca = bind_http_text_option(L, "ca"),
        .cert = bind_http_text_option(L, "cert"),
        .key = bind_http_text_option(L, "key"),
    };
    luaL_argcheck(L, options->method && options->url, 1, "method and url");
    lua_getfield(L, 1, "body");
    options->body = lua_tolstring(L, -1, &options->body_len);
    lua_pop(L, 1);
}

/* start{method=, url=, headers={"Name: value", ...}, ...} -> transfer | nil, error; the members of
 * struct http_options */
static int http_start(lua_State *L)
{
    const char *headers[HEADERS_MAX + 1];
    const char *error;
    struct http_options options;
    options_check(L, &options);
    header_options(L, headers);
    options.headers = headers;
    struct http_client *client = client_of(L);
    slot_handle *box = lua_newuserdatauv(L, sizeof(*box), 1);
    *box = 0;
    luaL_setmetatable(L, TRANSFER_TYPE);
    origin_keep(L);

    struct http_transfer *transfer = http_transfer_start(client, &options, &error);
    if (!transfer) {
        lua_pushnil(L);
        lua_pushstring(L, error);
        return 2;
    }
    *box = http_transfer_handle(transfer);
    return 1;
}

/* t:close() */
static int transfer_close(lua_State *L)
{
    struct http_transfer *transfer = transfer_find(L);
    if (transfer)
        http_transfer_free(transfer);
    return 0;
}

static int transfer_gc(lua_State *L)
{
    struct http_transfer *transfer = transfer_find(L);
    if (!transfer)
        return 0;
    origin_log_leak(L, 1, "the answer of an HTTP request");
    http_transfer_free(transfer);
    return 0;
}

static void make_client(lua_State *L)
{
    struct http_client **box = lua_newuserdatauv(L, sizeof(*box), 0);
    *box = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, client_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
}

static int bind_http(lua_State *L)
{
    static const luaL_Reg functions[] = {{"start", http_start},
                                         {"reset", http_reset},
                                         {"join", http_join},
                                         {"maximum", http_maximum},
                                         {NULL, NULL}};
    static const luaL_Reg meta[] = {{"__gc", transfer_gc}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"answer", transfer_answer},
                                       {"body", transfer_body},
                                       {"read", transfer_read},
                                       {"send", transfer_send},
                                       {"end_upload", transfer_end_upload},
                                       {"close", transfer_close},
                                       {NULL, NULL}};
    make_client(L);
    int client = lua_gettop(L);
    luaL_newmetatable(L, TRANSFER_TYPE); /* stack: core, client, meta */
    lua_pushvalue(L, client);
    luaL_setfuncs(L, meta, 1);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    luaL_newlibtable(L, methods);
    lua_pushvalue(L, client);
    luaL_setfuncs(L, methods, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlibtable(L, functions);
    lua_pushvalue(L, client);
    luaL_setfuncs(L, functions, 1);
    lua_pushboolean(L, http_setup_shares_trust());
    lua_setfield(L, -2, "shares_trust");
    lua_setfield(L, client - 1, "http");
    lua_settop(L, client - 1);
    return 0;
}

BINDING(bind_http)

#endif
