/* Sends what a handler returned: text, a table as JSON, a status, a response object. */
#ifndef SCRIPT_REPLY_H
#define SCRIPT_REPLY_H

#include "http/request.h"

#include <lua.h>

/* Sends the results at first..top of the stack; may park (streams, files), so call it last: `return
 * reply_results(...)`. Raises when they are no answer (the caller's error path then makes one). */
int reply_results(lua_State *L, struct request *rq, int first);
int bind_response(lua_State *L); /* adds core.response, the metatable of response objects */

#endif
