/* The only door from C into Lua besides tasks: a protected call on the main state, for short work
 * that does not park (building tables, registering, freeing). */
#ifndef SCRIPT_CALL_H
#define SCRIPT_CALL_H

#include <lua.h>

struct vm;

/* Calls fn(L) with `arg` as light userdata at index 1. 0, or -1 after logging the error as `what`.
 */
int call_protected(struct vm *vm, lua_CFunction fn, void *arg, const char *what);

#endif
