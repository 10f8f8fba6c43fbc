/* Answers with a file: conditions, ranges, precompressed siblings, sent by the kernel. */
#ifndef WEB_REPLY_FILE_H
#define WEB_REPLY_FILE_H

#include "http/request.h"

#include <lua.h>

/* The response object at `index` has a field `file`. May park; raises {status=404} when there is
 * none. */
int reply_file(lua_State *L, struct request *rq, int index);

#endif
