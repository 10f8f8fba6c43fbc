/* What the application's side keeps with a request. */
#ifndef WEB_REQUEST_USER_H
#define WEB_REQUEST_USER_H

#include "base/list.h"
#include "http/request.h"
#include "net/deadline.h"

#include <stdbool.h>

struct request_user {
    void *task;              /* runs the handler, NULL before and after */
    void *reader;            /* waits for the body */
    void *writer;            /* waits until bytes have left */
    bool reads_all;          /* the reader wants the whole body */
    bool awaits_drain;       /* the handler ended; what follows waits for the last byte */
    bool has_chunks;         /* the body was read in chunks */
    int cache_ref;           /* values made once per request, 0 = none */
    const void *kind;        /* of answer that has made something of it, or NULL, see reply.h */
    void *thing;             /* that ... */
    void *handoff;           /* ... and is left to another Lua state, with this; or NULL */
    int after_ref;           /* functions to run after the last byte, 0 = none */
    struct deadline timeout; /* of the route */
};

static inline struct request_user *request_user(const struct request *rq)
{
    return (struct request_user *)rq->user;
}
static inline struct request *request_user_request(struct request_user *user)
{
    return container_of(user, struct request, user);
}

#endif
