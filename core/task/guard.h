/* pcall and xpcall, which may park inside and do not keep the errors that stop a task. */
#ifndef TASK_GUARD_H
#define TASK_GUARD_H

#include <lua.h>
#include <stdbool.h>

void guard_open(lua_State *L);           /* replaces the global pcall and xpcall; may raise */
bool guard_is_handler(lua_CFunction fn); /* the frame between xpcall and its user's handler */

#endif
