/* Where in the application something happens: "file:line", skipping neap's own Lua files. A
 * userdata that keeps it can be named in the log when it is collected without having been
 * closed. */
#ifndef TASK_ORIGIN_H
#define TASK_ORIGIN_H

#include <lua.h>

#define ORIGIN_SIZE 96

void origin_push(lua_State *L); /* "file:line", or "" when only neap itself is running */
void origin_push_of(lua_State *L, lua_State *co); /* the same for a coroutine that waits */
/* The same as text, "" when there is none. Needs no memory. */
void origin_write(lua_State *co, char text[ORIGIN_SIZE]);
/* Into user value 1 of the userdata on top of the stack. */
void origin_keep(lua_State *L);
/* For __gc: "WHAT was not closed; it was made at FILE:LINE". */
void origin_log_leak(lua_State *L, int index, const char *what);

#endif
