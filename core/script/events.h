/* An event stream (SSE), see live_reply.h. */
#ifndef SCRIPT_EVENTS_H
#define SCRIPT_EVENTS_H

#include <lua.h>

struct request;

/* The response object at `index` has a field `events`: parks its client. */
int reply_events(lua_State *L, struct request *rq, int index);

#endif
