/* A parked long-poll, see live_reply.h. */
#ifndef PUSH_POLL_H
#define PUSH_POLL_H

#include <lua.h>

struct request;

/* The response object at `index` has a field `poll`: parks its client. */
int poll_reply(lua_State *L, struct request *rq, int index);

#endif
