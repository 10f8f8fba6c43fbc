/* A WebSocket's subscriptions: feeds that the core pumps into it, raw or in envelopes. See wsock.h.
 */
#include "base/alloc.h"
#include "script/encoding.h"
#include "script/live_reply.h"
#include "script/visit.h"
#include "script/vm.h"
#include "script/wsock.h"

#include <string.h>

#define CLOSE_SLOW 4008
#define CLOSE_TOPIC 4010

static enum message_encoding encoding_of(const struct wsub *sub)
{
    bool is_deflated = ws_can_deflate(sub->wsock->ws);
    if (sub->is_envelope)
        return is_deflated ? ENCODING_WS_ENVELOPE_DEFLATED : ENCODING_WS_ENVELOPE;
    return is_deflated ? ENCODING_WS_DEFLATED : ENCODING_WS;
}

static int send_frames(void *to, const char *frames, const size_t *ends, int count)
{
    return ws_send_frames(to, frames, ends, count);
}

static int on_messages(struct feed *feed, struct batch *batch)
{
    struct wsub *sub = container_of(feed, struct wsub, feed);
    return live_send(batch, encoding_of(sub), send_frames, sub->wsock->ws);
}

static void on_gap(struct feed *feed, uint64_t cursor)
{
    struct wsub *sub = container_of(feed, struct wsub, feed);
    struct bytes text = {0};
    encoding_append_gap(&text, hub_epoch(outlet_hub(feed->outlet)), cursor);
    ws_send(sub->wsock->ws, text.data, text.len, true);
    bytes_deinit(&text);
}

static void sub_free(struct wsub *sub)
{
    feed_close(&sub->feed);
    visit_end(sub->wsock->vm, sub->visits);
    list_remove(&sub->link);
    topic_drop(sub->topic);
    mem_free(sub);
}

static void on_end(struct feed *feed, bool is_slow)
{
    struct wsub *sub = container_of(feed, struct wsub, feed);
    struct wsock *wsock = sub->wsock;
    sub_free(sub);
    if (is_slow)
        wsock_close(wsock, CLOSE_SLOW, "slow");
    else
        wsock_close(wsock, CLOSE_TOPIC, "topic closed");
}

static const struct feed_events sub_events = {on_messages, on_gap, on_end};

void wsub_open(struct wsock *wsock, const struct topic_choice *choice, bool is_envelope, int slow,
               int visits)
{
    struct wsub *sub = mem_calloc(sizeof(*sub));
    sub->wsock = wsock;
    sub->visits = visits;
    sub->is_envelope = is_envelope;
    sub->topic = topic_hold(choice->topics[0]);
    list_push(&wsock->subs, &sub->link);
    feed_open(&sub->feed, wsock->vm->options.outlet, &sub_events, FEED_WS, choice->topics,
              choice->count, choice->cursor, slow);
    if (topic_choice_owes_gap(choice))
        on_gap(&sub->feed, 0);
}

bool wsub_close(struct wsock *wsock, const struct topic *topic)
{
    list_each (link, &wsock->subs) {
        struct wsub *sub = container_of(link, struct wsub, link);
        if (sub->topic != topic)
            continue;
        sub_free(sub);
        return true;
    }
    return false;
}

void wsub_close_all(struct wsock *wsock)
{
    while (!list_is_empty(&wsock->subs))
        sub_free(container_of(wsock->subs.next, struct wsub, link));
}

void wsub_resume_all(struct wsock *wsock)
{
    list_each (link, &wsock->subs) {
        struct wsub *sub = container_of(link, struct wsub, link);
        if (feed_is_open(&sub->feed))
            feed_resume(&sub->feed);
    }
}

void wsub_move_all(struct wsock *wsock, struct vm *to)
{
    list_each (link, &wsock->subs)
        visit_move(wsock->vm, &container_of(link, struct wsub, link)->visits, to, wsock->handle);
}
