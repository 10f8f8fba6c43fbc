/* core.multipart and core.boundary. */
#ifndef SCRIPT_BIND_MULTIPART_H
#define SCRIPT_BIND_MULTIPART_H

#include <lua.h>

int bind_multipart(lua_State *L); /* adds them to the table on top */

#endif
