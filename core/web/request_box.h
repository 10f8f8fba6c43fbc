/* What the files about `req` share: the box that a userdata is, and the pieces of `req` that have
 * files of their own. */
#ifndef WEB_REQUEST_BOX_H
#define WEB_REQUEST_BOX_H

#include "http/session.h"

#include <lua.h>

/* What Lua holds of a request: a handle, so that one that is over is an error, not a crash. */
struct request_box {
    slot_handle handle;
    struct http_server *server;
};

/* Pushes one of that metatable. */
void request_box_push(lua_State *L, const struct request *rq, const char *type);
static inline struct request *request_box_find(const struct request_box *box) /* NULL: it is over */
{
    return http_server_find_request(box->server, box->handle);
}
/* Raises when it is over. */
struct request *request_box_open(lua_State *L, const struct request_box *box);

void request_box_push_span(lua_State *L, const struct request *rq, struct span span);
/* The table of what is made once; creates it. */
void request_box_push_cache(lua_State *L, struct request *rq);

#endif
