/* The standard library as scripts see it: without what could stop, corrupt or outlive the
 * server. */
#ifndef TASK_STDLIB_H
#define TASK_STDLIB_H

#include <lua.h>

#define STDLIB_MAX_REP (64u * 1024 * 1024) /* bytes that one string.rep may make */
#define STDLIB_MAX_MOVE 10000000 /* elements that one call of the table library may move */

/* Changes the opened libraries; may raise. `lua_dir` goes in front of package.path (NULL: nothing
 * does). */
void stdlib_clean(lua_State *L, const char *lua_dir);

#endif
