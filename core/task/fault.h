/* What a failure says: the message handler that notes where it happened, the text of an error
 * value, and the one log entry. */
#ifndef TASK_FAULT_H
#define TASK_FAULT_H

#include <lua.h>
#include <stdbool.h>

#define FAULT_MAX 65536 /* bytes of a message or traceback that are kept */

struct task;

/* Message handler of every task: leaves the error value as it is, notes the traceback on the
 * running task. */
int fault_handler(lua_State *L);
/* Pushes the text of the error value at `index`, whatever it is. May raise only when out of
 * memory. */
void fault_push_text(lua_State *L, int index);
/* Pushes the traceback of `co`, from `level` on, after `text` (may be NULL). As luaL_traceback
 * does, except that a runaway recursion costs no seconds. May raise (memory). */
void fault_push_stack(lua_State *L, lua_State *co, const char *text, int level);
bool fault_is_deep(lua_State *co); /* such a one: do not look for its bottom */
/* Pushes the traceback of a coroutine, or of a parked task with all that it is nested in. May raise
 * (memory). */
void fault_push_traceback(lua_State *L, lua_State *co);
/* Logs "WHO: failed: TEXT" and the traceback (may be NULL). May raise when out of memory. */
void fault_log(lua_State *L, const char *who, int index, const char *traceback);
/* The error value at `index`, about to be raised again in this task, first failed elsewhere, as
 * `traceback` shows. */
void fault_note_cause(lua_State *L, int index, const char *traceback);

#endif
