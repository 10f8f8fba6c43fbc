/* An event stream (SSE), see live_reply.h. */
#ifndef PUSH_EVENTS_H
#define PUSH_EVENTS_H

#include <lua.h>

struct request;

/* The response object at `index` has a field `events`: parks its client. */
int events_reply(lua_State *L, struct request *rq, int index);

#endif
