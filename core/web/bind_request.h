/* `req`, as handlers see it: a userdata that holds a handle, so that a request that is over is an
 * error, not a crash. */
#ifndef WEB_BIND_REQUEST_H
#define WEB_BIND_REQUEST_H

#include "http/request.h"

#include <lua.h>

void bind_request_push(lua_State *L, const struct request *rq);
struct request *bind_request_check(lua_State *L, int index); /* raises when it is over */
/* Its handler is over: drops what Lua kept with it. */
void bind_request_release(lua_State *L, struct request *rq);

#endif
