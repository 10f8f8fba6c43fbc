/* Runs the application's handlers: one task per request, its results sent as the answer. */
#ifndef WEB_HANDLER_H
#define WEB_HANDLER_H

#include "http/session.h"

struct vm;

/* What an http_server whose owner is a vm calls. With `logs`, one access-log line per request. */
struct http_events handler_events(bool logs);
/* Whether a route of that body limit or the server's own holds: bytes. */
uint64_t handler_body_limit(const struct request *rq);

/* This state's requests wait no longer for the last byte of an answer to leave, but are over
 * now. */
void handler_hurry(struct http_server *http, struct vm *vm);

/* Whether that state has it, and has to give it back. */
static inline bool handler_has(const struct vm *vm, const struct request *rq)
{
    return rq->owner == vm && (!rq->is_done || rq->is_kept);
}
/* Gives it back, for a state in which no task is left that could: its connection is closed. */
void handler_take(struct request *rq);

#endif
