/* The control socket: how `neap ps`, `neap topics`, `neap jobs`, `neap errors` and `neap reload`
 * talk to a running server. A line in, a line of JSON out, then the end. It is a UNIX socket in a
 * folder that only our user may enter, so whoever can connect may ask. Main thread only. */
#ifndef TOP_CONTROL_H
#define TOP_CONTROL_H

#include "base/bytes.h"
#include "net/listener.h"

struct worker;
struct caller; /* who has connected, to ask one thing */

/* What the server does for it. */
struct control_events {
    /* The next worker after `place` (from 0, moved on), NULL when there are no more. */
    struct worker *(*next_worker)(void *owner, int *place);
    /* Appends lines about the server itself, which `neap ps` shows. */
    void (*describe)(void *owner, struct bytes *notes);
    /* Reloads, then calls control_answer. */
    void (*reload)(void *owner, struct caller *caller);
};

struct control {
    struct loop *loop;
    struct listener listener;
    struct address address;
    const struct control_events *events;
    void *owner;
    struct list callers;
    char *about; /* owned; members of a JSON object that describe this server */
    bool is_open;
};

/* `dir` is made when it is missing; `listening` is what this server tells about its addresses.
 * Trouble is logged: a server without it serves all the same. */
void control_open(struct control *control, struct loop *loop, const char *dir,
                  const char *listening);
void control_close(struct control *control); /* before loop_deinit */

void *control_owner_of(struct caller *caller); /* of its control */
/* `error` or NULL; `notes`: lines that are worth knowing, if any. */
void control_answer(struct caller *caller, const char *error, const struct bytes *notes);

#endif
