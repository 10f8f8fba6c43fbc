/* Sends what a handler returned: see reply.h. The plain results (text, tables, a status with or
 * without text) take the shortest way; a response object is read field by field. */
#include "web/reply.h"

#include "http/gzip.h"
#include "http/response.h"
#include "http/session.h"
#include "task/vm.h"
#include "value/binding.h"
#include "value/json.h"
#include "web/app.h"
#include "web/bind_request.h"
#include "web/bind_stream.h"
#include "web/packing.h"
#include "web/reply_file.h"
#include "web/reply_head.h"

#include <assert.h>
#include <lauxlib.h>
#include <string.h>

#define RESPONSE_TYPE "neap.response"
#define TEXT_TYPE "text/plain; charset=utf-8"
#define JSON_TYPE "application/json"
#define KINDS_MAX 8
#define GZIP_MAX (4u << 20) /* compressing more would take a core for too long */

static bool is_response(lua_State *L, int index)
{
    if (!lua_getmetatable(L, index))
        return false;
    luaL_getmetatable(L, RESPONSE_TYPE);
    bool is_one = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is_one;
}

/* ---- bodies ---- */

/* Ends the head and sends the body. A large one that there is no room to keep is refused: clients
 * can ask again, but do nothing with half of an answer. */
static void send_whole(struct request *rq, const char *body, size_t len)
{
    struct conn *conn = session_conn_of(rq);
    if (conn && !rq->is_head && len > CONN_HIGH_WATER && !conn_has_room(conn, len)) {
        quota_refuse(conn_loop(conn)->output);
        response_plain(rq, 503);
        return;
    }
    response_send(rq, body, len);
}

static bool is_gzip_size(const struct request *rq, size_t len)
{
    uint64_t least = rq->server->limits.gzip_min;
    return least != 0 && len >= least && len <= GZIP_MAX;
}

static bool is_packable(const struct request *rq, const char *type, size_t len)
{
    return is_gzip_size(rq, len) && gzip_is_worthwhile(type);
}

static void add_vary(struct request *rq)
{
    response_header(rq, "vary", 4, "Accept-Encoding", 15);
}

static void send_packed(struct request *rq, const struct bytes *packed)
{
    response_header(rq, "content-encoding", 16, "gzip", 4);
    send_whole(rq, packed->data, packed->len);
}

/* Ends the head and sends the body, compressed when that is asked for and pays. */
static void send_body(struct request *rq, const char *type, const char *body, size_t len)
{
    struct bytes packed = {0};
    if (!is_packable(rq, type, len)) {
        send_whole(rq, body, len);
        return;
    }
    add_vary(rq);
    if (len <= PACKING_SLICE && request_accepts_coding(rq, "gzip") &&
        gzip_compress(body, len, &packed) == 0 && packed.len < len)
        send_packed(rq, &packed);
    else
        send_whole(rq, body, len);
    bytes_deinit(&packed);
}

/* The body is compressed before there is a head, as others run meanwhile. */
static int packed_whole(lua_State *L, struct packing *packing)
{
    struct request *rq = packing->rq;
    if (rq->answer != ANSWER_NONE) /* refused meanwhile, because of its body */
        return 0;
    response_begin(rq, packing->status);
    if (packing->type)
        response_type(rq, packing->type);
    else
        reply_head_write(L, rq, packing->object, NULL);
    add_vary(rq);
    if (packing->out.len > 0)
        send_packed(rq, &packing->out);
    else
        send_whole(rq, packing->body, packing->len);
    packing_end(packing);
    return 0;
}

/* What compresses a body in slices, for packing_run; NULL: it is sent at once. */
static struct packing *reply_pack(lua_State *L, struct request *rq, const char *type,
                                  const char *body, size_t len)
{
    if (len <= PACKING_SLICE || !is_packable(rq, type, len) || !request_accepts_coding(rq, "gzip"))
        return NULL;
    struct packing *packing = packing_push(L, rq, body, len);
    if (packing)
        packing->then = packed_whole;
    return packing;
}

static int reply_text(lua_State *L, struct request *rq, int status, int index)
{
    size_t len;
    const char *text = lua_tolstring(L, index, &len);
    struct packing *packing = reply_pack(L, rq, TEXT_TYPE, text, len);
    if (packing) {
        packing->status = status;
        packing->type = TEXT_TYPE;
        return packing_run(L, packing);
    }
    response_begin(rq, status);
    response_type(rq, TEXT_TYPE);
    send_body(rq, TEXT_TYPE, text, len);
    return 0;
}

static int reply_json(lua_State *L, struct request *rq, int status, int index)
{
    struct json_text json;
    if (json_encode(L, index, &json) < 0)
        return luaL_error(L, "the table that the handler returned is not JSON: %s", json.error);
    struct packing *packing = reply_pack(L, rq, JSON_TYPE, json.data, json.len);
    if (packing) {
        packing->status = status;
        packing->type = JSON_TYPE;
        packing->text = json.data;
        return packing_run(L, packing);
    }
    response_begin(rq, status);
    response_type(rq, JSON_TYPE);
    send_body(rq, JSON_TYPE, json.data, json.len);
    json_free(&json);
    return 0;
}

/* ---- response objects ---- */

/* Pushes the media type of a body that may be compressed; NULL when it stays as it is. A strong
 * etag names these very bytes. */
static const char *push_gzip_type(lua_State *L, int index)
{
    if (reply_head_push_header(L, index, "content-encoding") ||
        reply_head_push_header(L, index, "etag"))
        return NULL;
    return reply_head_push_header(L, index, "content-type");
}

static int reply_object_body(lua_State *L, struct request *rq, int index)
{
    int status = reply_head_status(L, index);
    if (reply_head_field(L, index, "body") != LUA_TNIL && !lua_isstring(L, -1))
        return luaL_error(L, "the body of a response is a string, not a %s", luaL_typename(L, -1));
    size_t len = 0;
    const char *body = lua_isnil(L, -1) ? "" : lua_tolstring(L, -1, &len);
    const char *type = is_gzip_size(rq, len) ? push_gzip_type(L, index) : NULL;
    struct packing *packing = type ? reply_pack(L, rq, type, body, len) : NULL;
    if (packing) {
        packing->status = status;
        packing->object = index;
        return packing_run(L, packing);
    }
    response_begin(rq, status);
    reply_head_write(L, rq, index, NULL);
    if (type)
        send_body(rq, type, body, len);
    else
        send_whole(rq, body, len);
    return 0;
}

static int stream_returned(lua_State *L, int status, lua_KContext context)
{
    (void)L;
    (void)status;
    response_end((struct request *)context);
    return 0;
}

static int reply_stream(lua_State *L, struct request *rq, int index)
{
    response_begin(rq, reply_head_status(L, index));
    reply_head_write(L, rq, index, NULL);
    reply_head_field(L, index, "stream");
    bind_stream_push(L, rq);
    bind_request_push(L, rq);
    /* What may raise came before: it is answered with an error page. */
    if (!response_stream(rq, -1))
        return 0;
    lua_callk(L, 2, 0, (lua_KContext)rq, stream_returned);
    return stream_returned(L, LUA_OK, (lua_KContext)rq);
}

/* ---- kinds ---- */

static const struct reply_kind own_kinds[] = {
    {.field = "stream", .type = LUA_TFUNCTION, .reply = reply_stream},
    {.field = "file", .type = LUA_TSTRING, .reply = reply_file},
};

#define OWN_KINDS (int)(sizeof(own_kinds) / sizeof(*own_kinds))

static const struct reply_kind *added_kinds[KINDS_MAX];
static int added_count;

void reply_add_kind(const struct reply_kind *kind)
{
    assert(added_count < KINDS_MAX);
    added_kinds[added_count++] = kind;
}

static int reply_object(lua_State *L, struct request *rq, int index)
{
    int count = OWN_KINDS + added_count;
    for (int i = 0; i < count; i++) {
        const struct reply_kind *kind = i < OWN_KINDS ? &own_kinds[i] : added_kinds[i - OWN_KINDS];
        int type = reply_head_field(L, index, kind->field);
        if (type == kind->type || (type != LUA_TNIL && kind->type == LUA_TNONE))
            return kind->reply(L, rq, index);
    }
    lua_pop(L, count);
    return reply_object_body(L, rq, index);
}

/* ---- results ---- */

/* Everything that is not on the short ways below: Lua makes a response object of it, or raises. */
static int reply_converted(lua_State *L, struct request *rq, int first)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm_of(L)->app->from_ref);
    lua_insert(L, first);
    lua_call(L, lua_gettop(L) - first, 1);
    return reply_object(L, rq, lua_gettop(L));
}

static int reply_empty(struct request *rq, int status)
{
    response_begin(rq, status);
    response_send(rq, "", 0);
    return 0;
}

static bool is_status(lua_State *L, int index)
{
    return lua_isinteger(L, index) && lua_tointeger(L, index) >= 200 &&
           lua_tointeger(L, index) <= 599;
}

static int reply_value(lua_State *L, struct request *rq, int first)
{
    int count = lua_gettop(L) - first + 1;
    int type = lua_type(L, first);
    if (count <= 0)
        return reply_empty(rq, 204);
    if (type == LUA_TSTRING)
        return reply_text(L, rq, 200, first);
    if (type == LUA_TTABLE)
        return is_response(L, first) ? reply_object(L, rq, first) : reply_json(L, rq, 200, first);
    if (count == 1 && is_status(L, first))
        return reply_empty(rq, (int)lua_tointeger(L, first));
    if (count == 2 && is_status(L, first) && lua_type(L, first + 1) == LUA_TSTRING)
        return reply_text(L, rq, (int)lua_tointeger(L, first), first + 1);
    return reply_converted(L, rq, first);
}

static int on_send_returned(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    return reply_value(L, (struct request *)context, lua_gettop(L));
}

/* The application looks at every answer before it leaves: on_send(req, results...) -> response
 * object. */
static int reply_through_on_send(lua_State *L, struct request *rq, int first, int on_send_ref)
{
    int count = lua_gettop(L) - first + 1;
    lua_rawgeti(L, LUA_REGISTRYINDEX, on_send_ref);
    lua_insert(L, first);
    bind_request_push(L, rq);
    lua_insert(L, first + 1);
    lua_callk(L, count + 1, 1, (lua_KContext)rq, on_send_returned);
    return on_send_returned(L, LUA_OK, (lua_KContext)rq);
}

int reply_results(lua_State *L, struct request *rq, int first)
{
    struct app *app = vm_of(L)->app;
    if (rq->answer != ANSWER_NONE) /* refused meanwhile, because of its body */
        return 0;
    if (app->on_send_ref != LUA_NOREF)
        return reply_through_on_send(L, rq, first, app->on_send_ref);
    return reply_value(L, rq, first);
}

static int bind_response(lua_State *L)
{
    luaL_newmetatable(L, RESPONSE_TYPE);
    lua_setfield(L, -2, "response");
    return 0;
}

BINDING(bind_response)
