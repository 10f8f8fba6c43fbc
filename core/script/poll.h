/* A parked long-poll, see live_reply.h. */
#ifndef SCRIPT_POLL_H
#define SCRIPT_POLL_H

#include <lua.h>

struct request;

/* The response object at `index` has a field `poll`: parks its client. */
int reply_poll(lua_State *L, struct request *rq, int index);

#endif
