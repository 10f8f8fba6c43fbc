/* Reading the body: methods of `req`. */
#ifndef WEB_REQUEST_BODY_H
#define WEB_REQUEST_BODY_H

#include <lua.h>

struct request;

int request_body_read(lua_State *L);
int request_body_read_chunk(lua_State *L);
void request_body_wake_reader(struct request *rq); /* body bytes came, or it ended */

#endif
