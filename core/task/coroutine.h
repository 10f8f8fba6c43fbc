/* The coroutine library, aware of the scheduler: a park inside a coroutine suspends the whole task,
 * not only the coroutine, and is invisible to whoever resumed it. */
#ifndef TASK_COROUTINE_H
#define TASK_COROUTINE_H

#include <lua.h>

void coroutine_open(lua_State *L); /* replaces the global library; may raise */

#endif
