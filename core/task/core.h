/* The C half of the library: the table that Lua gets from require "neap.core". */
#ifndef TASK_CORE_H
#define TASK_CORE_H

#include <lua.h>

struct vm;

/* Builds neap.core in a fresh vm and installs the yieldable require. 0, or -1 after logging why
 * not. */
int core_install(struct vm *vm);
/* The same for a state of task.thread: the part that needs no event loop. May raise. */
void core_install_portable(lua_State *L);

#endif
