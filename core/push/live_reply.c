/* What long-polls, event streams and WebSockets have in common when topics feed them: see
 * live_reply.h. */
#include "push/live_reply.h"

#include "http/uri.h"
#include "live/batch.h"
#include "push/encoding.h"
#include "push/topic_choice.h"
#include "value/scratch.h"
#include "web/reply_head.h"

#include <lauxlib.h>
#include <string.h>

#define QUERY_SMALL 512 /* queries up to this size are decoded on the stack */
#define QUERY_FIELDS 100

static int raise_status(lua_State *L, int status, const char *message)
{
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, status);
    lua_setfield(L, -2, "status");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    return lua_error(L);
}

int live_reply_raise_full(lua_State *L)
{
    return raise_status(L, 503, "there are too many topics, try again later");
}

/* Pushes the value of ?after=, or nil. */
static const char *push_query_after(lua_State *L, const struct request *rq, size_t *len)
{
    struct uri_query query;
    struct uri_field field;
    char small[QUERY_SMALL];
    char *buffer = small;
    if (rq->query.len > sizeof(small)) {
        struct bytes *large = scratch_push(L);
        bytes_reserve(large, rq->query.len);
        buffer = large->data;
    }
    uri_query_init(&query, request_at(rq, rq->query), rq->query.len, buffer, QUERY_FIELDS);
    while (uri_query_next(&query, &field) > 0)
        if (field.name_len == 5 && memcmp(field.name, "after", 5) == 0) {
            *len = field.value_len;
            return lua_pushlstring(L, field.value, field.value_len);
        }
    lua_pushnil(L);
    return NULL;
}

/* What an EventSource that comes back has seen last. Its address still has the ?after= that it
 * began with, so this goes before everything. */
static const char *last_event_id(const struct request *rq, size_t *len)
{
    const char *text = request_header(rq, "last-event-id", 13, len);
    return text && *len > 0 ? text : NULL;
}

/* "If-None-Match: "cursor"" as browsers send it back from ETag. */
static const char *entity_tag(const struct request *rq, size_t *len)
{
    const char *text = request_header(rq, "if-none-match", 13, len);
    if (!text || *len < 2)
        return NULL;
    if (*len > 2 && text[0] == 'W' && text[1] == '/') {
        text += 2;
        *len -= 2;
    }
    if (text[0] != '"' || text[*len - 1] != '"')
        return NULL;
    *len -= 2;
    return text + 1;
}

int live_reply_read_choice(lua_State *L, struct request *rq, int index, const char *name,
                           struct topic_choice *choice)
{
    size_t len = 0;
    const char *after = last_event_id(rq, &len);
    reply_head_field(L, index, "after");
    if (!after)
        after = lua_tolstring(L, -1, &len);
    if (!after)
        after = push_query_after(L, rq, &len);
    if (!after || len == 0)
        after = entity_tag(rq, &len);
    if (topic_choice_start(L, choice, after, len) < 0)
        raise_status(L, 400, "this cursor was not issued by this server");
    reply_head_field(L, index, name);
    int topics = lua_gettop(L);
    topic_choice_check(L, topics);
    return topics;
}

static int send_one(struct message *message, enum message_encoding which, live_reply_send_fn send,
                    void *to)
{
    const struct blob *blob = message_encoded(message, which, encoding_maker(which));
    return send(to, blob->data, &blob->len, 1);
}

/* As they are, one after the other. */
static int send_singly(const struct batch *batch, enum message_encoding which,
                       live_reply_send_fn send, void *to)
{
    int taken = 0;
    while (taken < batch->count && send_one(batch->messages[taken], which, send, to) > 0)
        taken++;
    return taken;
}

int live_reply_send(struct batch *batch, enum message_encoding which, live_reply_send_fn send,
                    void *to)
{
    if (batch->count == 1)
        return send_one(batch->messages[0], which, send, to);
    const struct joined *joined = batch_joined(batch, which, encoding_maker(which));
    /* Also when there is no memory for all of them at once: the rest of a batch that is not taken
     * waits until bytes have left, and none may be under way. */
    if (!joined)
        return send_singly(batch, which, send, to);
    return send(to, joined->bytes.data, joined->ends, batch->count);
}
