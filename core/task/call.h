/* The only door from C into Lua besides tasks: a protected call on the main state, for short work
 * that does not park (building tables, registering, freeing).
 *
 * Every call to Lua that makes something raises when memory runs out. Therefore, everywhere:
 * - Outside of a task and of this (callbacks of the loop, on_end hooks) only such calls are made as
 *   make nothing: pushing what exists, plain C functions and light userdata; luaL_unref; setting to
 *   nil. That task_new has nothing to give is an answer (503, a log entry), never a crash.
 * - What may raise comes before what cannot be taken back: a head that is sent, a place in one of
 *   the core's lists. What such a list knows is ended by the core (on_end), not by a Lua frame:
 *   even to leave that may need memory.
 * - What is held (a counted reference, memory, a file) is not on the C stack alone while something
 *   may raise: a userdata owns it (owned.h), or it is given back before. */
#ifndef TASK_CALL_H
#define TASK_CALL_H

#include <lua.h>

struct vm;

/* Calls fn(L) with `arg` as light userdata at index 1. 0, or -1 after logging the error as
 * `what`. */
int call_protected(struct vm *vm, lua_CFunction fn, void *arg, const char *what);

#endif
