/* The kinds of answer that push adds: see push.h. */
#include "push/push.h"

#include "push/visit.h"
#include "push/wsock.h"
#include "web/reply.h"

static const struct reply_kind poll_kind = {
    .field = "poll", .type = LUA_TNONE, .reply = visit_reply};
static const struct reply_kind events_kind = {
    .field = "events", .type = LUA_TNONE, .reply = visit_reply};

void push_start(void)
{
    reply_add_kind(&poll_kind);
    reply_add_kind(&events_kind);
    reply_add_kind(&reply_websocket_kind);
}
