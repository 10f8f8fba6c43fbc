/* A WebSocket's subscriptions: feeds that the core pumps into it, raw or in envelopes. See
 * wsock.h. */
#include "push/wsub.h"

#include "base/mem.h"
#include "live/hub.h"
#include "push/encoding.h"
#include "push/live_reply.h"
#include "push/topic_choice.h"
#include "push/visit.h"
#include "push/wsock.h"
#include "task/vm.h"

#include <string.h>

#define CLOSE_SLOW 4008
#define CLOSE_TOPIC 4010

static int send_frames(void *to, const char *frames, const size_t *ends, int count)
{
    return ws_send_frames(to, frames, ends, count);
}

static int wsub_on_messages(struct feed *feed, struct batch *batch)
{
    struct websocket *ws = &container_of(feed, struct wsub, feed)->wsock->ws;
    bool is_deflated = ws_can_deflate(ws);
    return live_reply_send(batch, is_deflated ? ENCODING_WS_DEFLATED : ENCODING_WS, send_frames,
                           ws);
}

static int on_messages_envelope(struct feed *feed, struct batch *batch)
{
    struct websocket *ws = &container_of(feed, struct wsub, feed)->wsock->ws;
    bool is_deflated = ws_can_deflate(ws);
    return live_reply_send(batch,
                           is_deflated ? ENCODING_WS_ENVELOPE_DEFLATED : ENCODING_WS_ENVELOPE,
                           send_frames, ws);
}

static void wsub_on_gap(struct feed *feed, uint64_t cursor)
{
    struct wsub *sub = container_of(feed, struct wsub, feed);
    struct bytes text = {0};
    encoding_append_gap(&text, hub_epoch(feed_hub(feed)), cursor);
    ws_send(&sub->wsock->ws, text.data, text.len, true);
    bytes_deinit(&text);
}

static void sub_free(struct wsub *sub)
{
    struct wsub **at = &sub->wsock->subs;
    while (*at != sub)
        at = &(*at)->next;
    *at = sub->next;
    feed_close(&sub->feed);
    visit_end(sub->wsock->vm, sub->feed.owner_ref);
    mem_free(sub);
}

static void wsub_on_end(struct feed *feed, bool is_slow)
{
    struct wsub *sub = container_of(feed, struct wsub, feed);
    struct wsock *wsock = sub->wsock;
    sub_free(sub);
    if (is_slow)
        wsock_close(wsock, CLOSE_SLOW, "slow");
    else
        wsock_close(wsock, CLOSE_TOPIC, "topic closed");
}

static const struct feed_events raw_events = {wsub_on_messages, wsub_on_gap, wsub_on_end};
static const struct feed_events envelope_events = {on_messages_envelope, wsub_on_gap, wsub_on_end};

bool wsub_open(struct wsock *wsock, const struct topic_choice *choice, bool is_envelope, int slow,
               int visits)
{
    if (!hub_has_room(topic_hub(choice->topics[0])))
        return false;
    struct wsub *sub = mem_calloc(sizeof(*sub));
    sub->wsock = wsock;
    sub->feed.owner_ref = visits;
    sub->next = wsock->subs;
    wsock->subs = sub;
    feed_open(&sub->feed, wsock->vm->options.outlet, is_envelope ? &envelope_events : &raw_events,
              FEED_WS, choice->topics, choice->count, choice->cursor, slow);
    if (topic_choice_owes_gap(choice))
        wsub_on_gap(&sub->feed, 0);
    return true;
}

bool wsub_close(struct wsock *wsock, const struct topic *topic)
{
    for (struct wsub *sub = wsock->subs; sub; sub = sub->next) {
        if (feed_topic(&sub->feed) != topic)
            continue;
        sub_free(sub);
        return true;
    }
    return false;
}

void wsub_close_all(struct wsock *wsock)
{
    while (wsock->subs)
        sub_free(wsock->subs);
}

void wsub_resume_all(struct wsock *wsock)
{
    for (struct wsub *sub = wsock->subs; sub; sub = sub->next)
        feed_resume(&sub->feed);
}

void wsub_move_all(struct wsock *wsock, struct vm *to)
{
    for (struct wsub *sub = wsock->subs; sub; sub = sub->next)
        visit_move(wsock->vm, &sub->feed.owner_ref, to, wsock->handle);
}
