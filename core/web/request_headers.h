/* `req.headers`. */
#ifndef WEB_REQUEST_HEADERS_H
#define WEB_REQUEST_HEADERS_H

#include <lua.h>

struct request;

void request_headers_push(lua_State *L, const struct request *rq);
void request_headers_make_type(lua_State *L);

#endif
