/* Server-sent events from topics: the connection belongs to a guest with a feed; each message is
 * written as it was encoded once for everybody. */
#include "push/events.h"

#include "base/mem.h"
#include "http/guest.h"
#include "http/response.h"
#include "http/session.h"
#include "live/cursor.h"
#include "live/hub.h"
#include "push/encoding.h"
#include "push/live_reply.h"
#include "push/topic_choice.h"
#include "push/visit.h"
#include "task/vm.h"
#include "value/units.h"
#include "web/app.h"
#include "web/reply_head.h"

#include <lauxlib.h>

#define HEARTBEAT_MS 15000 /* proxies cut silent connections, mostly after 60 s */

struct events {
    struct guest guest;
    struct feed feed; /* its owner_ref: the visits, see visit.h */
    struct vm *vm;
    bool is_chunked;
};

static void events_free(struct events *events)
{
    feed_close(&events->feed);
    visit_end(events->vm, events->feed.owner_ref);
    mem_free(events);
}

static void events_write(struct events *events, const char *text, size_t len)
{
    struct bytes chunk = {0};
    if (events->is_chunked)
        bytes_printf(&chunk, "%zx\r\n", len);
    bytes_append(&chunk, text, len);
    if (events->is_chunked)
        bytes_append(&chunk, "\r\n", 2);
    conn_write(guest_conn(&events->guest), chunk.data, chunk.len);
    bytes_deinit(&chunk);
}

/* The stream ends as it should: EventSource asks again, and gets 204 when the topic is closed. */
static void events_end(struct events *events)
{
    bool is_chunked = events->is_chunked;
    struct request *rq = guest_leave(&events->guest);
    events_free(events);
    rq->status = 200;
    rq->answer = ANSWER_STARTED;
    rq->framing = is_chunked ? FRAMING_CHUNKED : FRAMING_CLOSE;
    rq->wants_close = rq->wants_close || !is_chunked;
    response_end(rq);
    session_request_done(rq);
}

/* ---- what the feed brings ---- */

static int send_pieces(void *conn, const char *data, const size_t *ends, int count)
{
    return conn_write_pieces(conn, data, ends, count);
}

static int events_on_messages(struct feed *feed, struct batch *batch)
{
    struct events *events = container_of(feed, struct events, feed);
    guest_set_deadline(&events->guest, HEARTBEAT_MS);
    return live_reply_send(batch, events->is_chunked ? ENCODING_SSE : ENCODING_SSE_PLAIN,
                           send_pieces, guest_conn(&events->guest));
}

static void write_gap(struct events *events, uint64_t cursor)
{
    char id[CURSOR_SIZE];
    struct bytes text = {0};
    uint64_t epoch = hub_epoch(feed_hub(&events->feed));
    size_t len = cursor_format(id, epoch, cursor);
    bytes_append_text(&text, "id: ");
    bytes_append(&text, id, len);
    bytes_append_text(&text, "\nevent: gap\ndata: ");
    encoding_append_gap(&text, epoch, cursor);
    bytes_append_text(&text, "\n\n");
    events_write(events, text.data, text.len);
    bytes_deinit(&text);
}

static void events_on_gap(struct feed *feed, uint64_t cursor)
{
    write_gap(container_of(feed, struct events, feed), cursor);
}

static void events_on_end(struct feed *feed, bool is_slow)
{
    (void)is_slow;
    events_end(container_of(feed, struct events, feed));
}

static const struct feed_events events_feed_events = {events_on_messages, events_on_gap,
                                                      events_on_end};

/* ---- what the connection tells ---- */

static void on_data(struct guest *guest, const char *data, size_t len)
{
    (void)data;
    (void)len;
    guest->wants_close = true; /* what follows may be the rest of what we threw away */
}

static void events_on_drained(struct guest *guest)
{
    feed_resume(&container_of(guest, struct events, guest)->feed);
}

static void events_on_due(struct guest *guest)
{
    struct events *events = container_of(guest, struct events, guest);
    if (conn_unsent(guest_conn(guest)) == 0)
        events_write(events, ":\n\n", 3);
    guest_set_deadline(guest, HEARTBEAT_MS);
}

static void events_on_new_owner(struct guest *guest)
{
    struct events *events = container_of(guest, struct events, guest);
    struct vm *to = guest_server(guest)->owner;
    visit_move(events->vm, &events->feed.owner_ref, to, 0);
    events->vm = to;
}

static void on_drain(struct guest *guest)
{
    events_end(container_of(guest, struct events, guest));
}

static void events_on_gone(struct guest *guest)
{
    events_free(container_of(guest, struct events, guest));
}

static const struct guest_events events_guest_events = {
    .on_data = on_data,
    .on_drained = events_on_drained,
    .on_due = events_on_due,
    .on_new_owner = events_on_new_owner,
    .on_drain = on_drain,
    .on_gone = events_on_gone,
};

/* ---- beginning ---- */

/* Whether every topic is closed and has nothing behind the cursor. */
static bool are_over(const struct topic_choice *choice)
{
    for (int i = 0; i < choice->count; i++) {
        struct message *message;
        uint64_t lost;
        if (!topic_is_closed(choice->topics[i]))
            return false;
        if (topic_read(choice->topics[i], choice->cursor, UINT64_MAX, &message, 1, &lost) > 0) {
            message_drop(message);
            return false;
        }
    }
    return true;
}

/* Holds the topics for a moment only, because what follows may raise. False: they are too many. */
static bool look_at(lua_State *L, int topics, struct topic_choice *choice, bool *is_over)
{
    if (!topic_choice_open(L, topics, choice))
        return false;
    *is_over = are_over(choice);
    topic_choice_drop(choice);
    return true;
}

/* How long the client waits before it comes back, in ms; 0: its own default. */
static uint64_t retry_of(lua_State *L, int index)
{
    reply_head_field(L, index, "retry");
    uint64_t retry_ms = lua_isnil(L, -1) ? 0 : units_check_duration(L, -1);
    lua_pop(L, 1);
    return retry_ms;
}

/* The head leaves with it, and the browser says that it is open. */
static void write_beginning(struct request *rq, uint64_t retry_ms)
{
    char line[48];
    int len = snprintf(line, sizeof(line), "retry: %llu\n\n", (unsigned long long)retry_ms);
    if (retry_ms > 0)
        response_write(rq, line, (size_t)len);
    else
        response_write(rq, ":\n\n", 3);
}

/* EventSource does not come back after this. */
static void answer_over(lua_State *L, struct request *rq, int index)
{
    response_begin(rq, 204);
    reply_head_write(L, rq, index, "content-type");
    response_send(rq, "", 0);
}

static void start(struct request *rq, const struct topic_choice *choice, int visits)
{
    struct events *events = mem_calloc(sizeof(*events));
    events->vm = rq->owner;
    events->feed.owner_ref = visits;
    events->is_chunked = rq->framing == FRAMING_CHUNKED;
    guest_enter(&events->guest, &events_guest_events, rq);
    if (app_renumber_guest(&events->guest, events->vm))
        events_on_new_owner(&events->guest);
    feed_open(&events->feed, events->vm->options.outlet, &events_feed_events, FEED_SSE,
              choice->topics, choice->count, choice->cursor, -1);
    if (topic_choice_owes_gap(choice))
        write_gap(events, 0);
    guest_set_deadline(&events->guest, HEARTBEAT_MS);
}

int events_reply(lua_State *L, struct request *rq, int index)
{
    struct topic_choice choice;
    if (!session_is_reachable(rq))
        return 0;
    int topics = live_reply_read_choice(L, rq, index, "events", &choice);
    uint64_t retry_ms = retry_of(L, index);
    bool is_over;
    if (!look_at(L, topics, &choice, &is_over))
        return live_reply_raise_full(L);
    if (is_over) {
        answer_over(L, rq, index);
        return 0;
    }
    response_begin(rq, 200);
    reply_head_write(L, rq, index, NULL);
    response_header(rq, "x-accel-buffering", 17, "no", 2);
    int visits = visit_take_of(L, index);
    if (!topic_choice_open(L, topics, &choice)) {
        visit_end(vm_of(L), visits);
        return live_reply_raise_full(L); /* the last that raises */
    }
    if (response_stream(rq, -1)) {
        write_beginning(rq, retry_ms);
        start(rq, &choice, visits);
    } else {
        visit_end(vm_of(L), visits);
    }
    topic_choice_drop(&choice);
    return 0;
}
