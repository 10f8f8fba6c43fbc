/* What polls and event streams have in common: answers that topics give. The handler has returned;
 * what stays is a guest of the connection with a feed, and no coroutine. */
#ifndef PUSH_LIVE_REPLY_H
#define PUSH_LIVE_REPLY_H

#include "http/request.h"
#include "live/feed.h"
#include "net/conn.h"
#include "push/topic_choice.h"

#include <lua.h>

/* Reads topics and cursor of the object at `index` (its field `name` and `after`) and of the
 * request: ?after=, If-None-Match, Last-Event-ID. Where the topics are on the stack, checked, for
 * topic_choice_open. Raises {status=400} for a bad cursor. */
int live_reply_read_choice(lua_State *L, struct request *rq, int index, const char *name,
                           struct topic_choice *choice);
int live_reply_raise_full(lua_State *L); /* topic_choice_open found no room: {status=503} */
/* Sends messages of a batch in one encoding, by a function like conn_write_pieces: how many were
 * taken. */
typedef int (*live_reply_send_fn)(void *to, const char *data, const size_t *ends, int count);
int live_reply_send(struct batch *batch, enum message_encoding which, live_reply_send_fn send,
                    void *to);

#endif
