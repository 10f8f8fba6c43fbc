/* Reading the body: methods of `req`. */
#ifndef SCRIPT_REQUEST_BODY_H
#define SCRIPT_REQUEST_BODY_H

#include <lua.h>

struct request;

int request_body(lua_State *L);
int request_read_chunk(lua_State *L);
void request_wake_reader(struct request *rq); /* body bytes came, or it ended */

#endif
