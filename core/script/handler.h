/* Runs the application's handlers: one task per request, its results sent as the answer. */
#ifndef SCRIPT_HANDLER_H
#define SCRIPT_HANDLER_H

#include "http/session.h"

struct vm;

/* What an http_server whose owner is a vm calls. With `logs`, one access-log line per request. */
struct http_events handler_events(bool logs);
/* Whether a route of that body limit or the server's own holds: bytes. */
uint64_t handler_body_limit(const struct request *rq);

/* This state's requests wait no longer for the last byte of an answer to leave, but are over now.
 */
void handler_hurry(struct http_server *http, struct vm *vm);

#endif
