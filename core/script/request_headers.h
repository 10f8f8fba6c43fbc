/* `req.headers`. */
#ifndef SCRIPT_REQUEST_HEADERS_H
#define SCRIPT_REQUEST_HEADERS_H

#include <lua.h>

struct request;

void request_push_headers(lua_State *L, const struct request *rq);
void request_make_headers_type(lua_State *L);

#endif
