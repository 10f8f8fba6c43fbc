/* What passes from the generation that serves to the one that was built, in one worker: the data of
 * the application's hooks first, which may fail; then, in one go, the connections. */
#ifndef LIFE_HANDOVER_H
#define LIFE_HANDOVER_H

#include "base/bytes.h"
#include "http/http_server.h"
#include "net/loop.h"

struct handover;
struct task;
struct vm;

/* NULL: all went well. The text is valid during the call. */
typedef void (*handover_done_fn)(struct handover *handover, const char *error);

struct handover {
    struct vm *from;
    struct vm *to;
    struct task *task; /* the hooks that run now, in one of the two, or NULL */
    struct bytes data; /* what they gave */
    char *error;       /* owned */
    struct loop_job done_job;
    struct deadline limit; /* of one that was cancelled */
    handover_done_fn on_done;
};

/* Runs the hooks: `from` gives, `to` adopts. on_done is called once, never from inside. Data that
 * cannot travel, a hook that fails and a kept table that holds more than data are errors. */
void handover_start(struct handover *handover, struct vm *from, struct vm *to,
                    handover_done_fn on_done);
/* on_done still comes: after the grace that hooks are given they are cut off. */
void handover_cancel(struct handover *handover);
/* From here on `to` serves. Polls, event streams and WebSockets go over to it. `from` may be NULL:
 * it is the first. */
void handover_switch(struct vm *from, struct vm *to, struct http_server *http);

#endif
