/* Visits: what an application that called topic:on is told of the clients of its topics. The list
 * of a client's visits is made and read by lua/neap/app/visits.lua; here it is a reference, kept by
 * who has the client. */
#ifndef PUSH_VISIT_H
#define PUSH_VISIT_H

#include "base/slots.h"
#include "http/request.h"

#include <lua.h>

struct vm;

/* Parks the client of a response object with a field `poll` or `events` (poll_reply, events_reply),
 * when those who watch the topics have agreed: asking them may park, and raises when they
 * refuse. */
int visit_reply(lua_State *L, struct request *rq, int index);
/* Takes the visits at `index`, or those of the response object there; 0: there are none. */
int visit_take(lua_State *L, int index);
int visit_take_of(lua_State *L, int index);
/* The client has been served, or has left: those who watch are told, in a task of their own. */
void visit_end(struct vm *vm, int visits);

/* Another state serves: the visits go over to it. What they hold is plain data, or they end now.
 * The WebSocket's handle there, 0 for others. */
void visit_move(struct vm *from, int *visits, struct vm *to, slot_handle websocket);

#endif
