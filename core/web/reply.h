/* Sends what a handler returned: text, a table as JSON, a status, a response object. */
#ifndef WEB_REPLY_H
#define WEB_REPLY_H

#include "http/request.h"

#include <lua.h>

struct task;

/* A kind of answer that a response object can be: the rooms above add theirs when the process
 * starts, so that a handler need not know which there are. */
struct reply_kind {
    const char *field; /* of the response object: it is one of this kind */
    int type;          /* of that field: LUA_TSTRING ..., or LUA_TNONE for any but nil */
    /* Sends it; may park, and raises when it cannot. */
    int (*reply)(lua_State *L, struct request *rq, int index);

    /* For a kind that makes something of the request which lasts as long as the handler's task: it
     * sets user.kind and user.thing. The others leave these NULL. */
    void (*on_failed)(struct request *rq); /* the handler did; its error page is next */
    void (*on_ended)(struct request *rq, const struct task *task, int status); /* the task has */
    /* It has ended with user.handoff set: the request goes on in the state that serves now. A task
     * with its arguments pushed, or NULL: it is over. */
    struct task *(*go_on)(struct request *rq, int *argc);
};

void reply_add_kind(const struct reply_kind *kind); /* before there are other threads */

/* Sends the results at first..top of the stack; may park (streams, files), so call it last: `return
 * reply_results(...)`. Raises when they are no answer (the caller's error path then makes one). */
int reply_results(lua_State *L, struct request *rq, int first);

#endif
