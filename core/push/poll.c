/* A parked long-poll: it answers with the first messages that its feed brings, with 204 when its
 * time is over, 410 when the topic is closed, 503 when the server stops. */
#include "push/poll.h"

#include "base/mem.h"
#include "http/guest.h"
#include "http/response.h"
#include "http/session.h"
#include "live/cursor.h"
#include "live/hub.h"
#include "live/outlet.h"
#include "push/encoding.h"
#include "push/live_reply.h"
#include "push/topic_choice.h"
#include "push/visit.h"
#include "task/vm.h"
#include "value/units.h"
#include "web/app.h"
#include "web/reply_head.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 25000
#define JITTER_PERCENT 10 /* so that clients that came together do not come back together */
#define LIMIT_MAX 64
#define BODY_FIRST 512 /* bytes; most answers fit */

struct poll {
    struct guest guest; /* with its own: limit, has_gap */
    struct feed feed;   /* its owner_ref: the visits, see visit.h */
    struct vm *vm;
    char *lines; /* header lines of the handler and on_send; NULL: none */
};

static void poll_free(struct poll *poll)
{
    feed_close(&poll->feed);
    visit_end(poll->vm, poll->feed.owner_ref);
    mem_free(poll->lines);
    mem_free(poll);
}

static struct hub *hub_of(const struct poll *poll)
{
    return outlet_hub(poll->vm->options.outlet);
}

/* The cursor that an answer leads to, as text. */
struct cursor_text {
    char text[CURSOR_SIZE];
    size_t len;
};

static struct cursor_text cursor_text_of(const struct poll *poll, uint64_t seq)
{
    struct cursor_text cursor;
    cursor.len = cursor_format(cursor.text, hub_epoch(hub_of(poll)), seq);
    return cursor;
}

#define ADD_LINES(rq, text) response_lines(rq, text, sizeof(text) - 1)

static void add_cursor(struct request *rq, const struct cursor_text *cursor)
{
    ADD_LINES(rq, "Topic-Cursor: ");
    response_lines(rq, cursor->text, cursor->len);
    ADD_LINES(rq, "\r\nEtag: \"");
    response_lines(rq, cursor->text, cursor->len);
    ADD_LINES(rq, "\"\r\nCache-Control: no-cache\r\n");
}

/* Leaves the connection with an answer begun; the poll is freed. Ends with response_send and
 * session_request_done. */
static struct request *begin_answer(struct poll *poll, int status, const struct cursor_text *cursor)
{
    struct request *rq = guest_leave(&poll->guest);
    response_begin(rq, status);
    if (poll->lines)
        response_lines(rq, poll->lines, strlen(poll->lines));
    if (status < 500)
        add_cursor(rq, cursor);
    if (poll->guest.has_gap)
        response_header(rq, "topic-gap", 9, "1", 1);
    poll_free(poll);
    return rq;
}

static void answer_empty(struct poll *poll, int status)
{
    struct cursor_text cursor = cursor_text_of(poll, poll->feed.cursor);
    struct request *rq = begin_answer(poll, status, &cursor);
    if (status == 503)
        response_header(rq, "retry-after", 11, "1", 1);
    response_send(rq, "", 0);
    session_request_done(rq);
}

/* 200 {"cursor":"...","items":[...]} */
static void answer_items(struct poll *poll, struct message *const *messages, int count,
                         uint64_t seq)
{
    struct cursor_text cursor = cursor_text_of(poll, seq);
    struct bytes body = {0};
    bytes_reserve(&body, BODY_FIRST);
    bytes_append_text(&body, "{\"cursor\":\"");
    bytes_append(&body, cursor.text, cursor.len);
    bytes_append_text(&body, "\",\"items\":[");
    for (int i = 0; i < count; i++) {
        const struct blob *item =
            message_encoded(messages[i], ENCODING_JSON, encoding_maker(ENCODING_JSON));
        if (i > 0)
            bytes_append(&body, ",", 1);
        bytes_append(&body, item->data, item->len);
    }
    bytes_append_text(&body, "]}");
    struct request *rq = begin_answer(poll, 200, &cursor);
    response_type(rq, "application/json");
    response_send(rq, body.data, body.len);
    bytes_deinit(&body);
    session_request_done(rq);
}

/* ---- what the feed brings ---- */

static int poll_on_messages(struct feed *feed, struct batch *batch)
{
    struct poll *poll = container_of(feed, struct poll, feed);
    int count = batch->count < poll->guest.limit ? batch->count : poll->guest.limit;
    uint64_t cursor = count == batch->count ? batch->head : batch->messages[count - 1]->seq;
    answer_items(poll, batch->messages, count, cursor); /* the poll is gone after this */
    return count;
}

/* What is left follows at once; if nothing is, the deadline answers. */
static void poll_on_gap(struct feed *feed, uint64_t cursor)
{
    (void)cursor;
    struct poll *poll = container_of(feed, struct poll, feed);
    poll->guest.has_gap = true;
    guest_set_deadline(&poll->guest, 0);
}

static void poll_on_end(struct feed *feed, bool is_slow)
{
    (void)is_slow;
    answer_empty(container_of(feed, struct poll, feed), 410);
}

static const struct feed_events poll_feed_events = {poll_on_messages, poll_on_gap, poll_on_end};

/* ---- what the connection tells ---- */

static void poll_on_due(struct guest *guest)
{
    struct poll *poll = container_of(guest, struct poll, guest);
    if (poll->feed.queued.number) /* what is there comes first, also with timeout = 0 */
        guest_set_deadline(&poll->guest, 1);
    else if (poll->guest.has_gap)
        answer_items(poll, NULL, 0, feed_cursor(&poll->feed)); /* so that nothing is missed */
    else
        answer_empty(poll, 204);
}

static void poll_on_new_owner(struct guest *guest)
{
    struct poll *poll = container_of(guest, struct poll, guest);
    struct vm *to = guest_server(guest)->owner;
    visit_move(poll->vm, &poll->feed.owner_ref, to, 0);
    poll->vm = to;
}

static void on_drain(struct guest *guest)
{
    answer_empty(container_of(guest, struct poll, guest), 503);
}

static void poll_on_gone(struct guest *guest)
{
    poll_free(container_of(guest, struct poll, guest));
}

static const struct guest_events poll_guest_events = {.on_due = poll_on_due,
                                                      .on_new_owner = poll_on_new_owner,
                                                      .on_drain = on_drain,
                                                      .on_gone = poll_on_gone};

/* ---- beginning ---- */

static uint64_t timeout_of(lua_State *L, int index)
{
    reply_head_field(L, index, "timeout");
    uint64_t timeout_ms = lua_isnil(L, -1) ? TIMEOUT_MS : units_check_duration(L, -1);
    lua_pop(L, 1);
    return timeout_ms - timeout_ms * (uint64_t)(random() % (JITTER_PERCENT + 1)) / 100;
}

static uint8_t limit_of(lua_State *L, int index)
{
    reply_head_field(L, index, "limit");
    lua_Integer limit = luaL_optinteger(L, -1, LIMIT_MAX);
    if (limit < 1)
        luaL_error(L, "res.poll: limit is how many messages at most, from 1");
    lua_pop(L, 1);
    return limit < LIMIT_MAX ? (uint8_t)limit : LIMIT_MAX;
}

int poll_reply(lua_State *L, struct request *rq, int index)
{
    struct topic_choice choice;
    const struct bytes *head = &rq->server->head;
    if (!session_is_reachable(rq))
        return 0;
    uint64_t timeout_ms = timeout_of(L, index);
    uint8_t limit = limit_of(L, index);
    int topics = live_reply_read_choice(L, rq, index, "poll", &choice);
    response_begin(rq, 200);
    size_t start = head->len;
    reply_head_write(L, rq, index, NULL);
    int visits = visit_take_of(L, index);
    if (!topic_choice_open(L, topics, &choice)) {
        visit_end(vm_of(L), visits);
        return live_reply_raise_full(L); /* the last that raises */
    }

    struct poll *poll = mem_calloc(sizeof(*poll));
    poll->vm = vm_of(L);
    poll->feed.owner_ref = visits;
    if (head->len > start) /* kept for whatever status will follow */
        poll->lines = mem_strndup(head->data + start, head->len - start);
    guest_enter(&poll->guest, &poll_guest_events, rq);
    poll->guest.limit = limit;
    poll->guest.has_gap = choice.is_foreign;
    if (app_renumber_guest(&poll->guest, poll->vm))
        poll_on_new_owner(&poll->guest);
    feed_open(&poll->feed, poll->vm->options.outlet, &poll_feed_events, FEED_POLL, choice.topics,
              choice.count, choice.cursor, SLOW_GAP);
    topic_choice_drop(&choice);
    guest_set_deadline(&poll->guest, choice.is_foreign ? 0 : timeout_ms);
    return 0;
}
