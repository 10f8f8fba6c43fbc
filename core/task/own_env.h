/* The environment of our own Lua files: copies of the standard globals and libraries, made before
 * anybody else runs, so that `type = req.query.type` or `table.insert = nil` in an application
 * breaks nothing but the application. `_G` in there is the table of globals that others have. */
#ifndef TASK_OWN_ENV_H
#define TASK_OWN_ENV_H

#include <lua.h>

void own_env_open(lua_State *L); /* once all of the standard library is as it shall be */
void own_env_give(lua_State *L); /* to the chunk on top of the stack */

#endif
