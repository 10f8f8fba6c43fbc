/* `out`, what a streaming handler writes to, and the sending of files: answers that wait for the
 * client. */
#ifndef WEB_BIND_STREAM_H
#define WEB_BIND_STREAM_H

#include "http/request.h"

#include <lua.h>

void bind_stream_push(lua_State *L, struct request *rq);
void bind_stream_wake_writer(struct request *rq); /* there is room again, or the client has gone */

#endif
