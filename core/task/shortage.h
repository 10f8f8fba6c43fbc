/* A shortage: a Lua state at its memory limit in which (nearly) every task fails for that reason,
 * and will go on failing, because what fills it is still in use. A member of its vm. */
#ifndef TASK_SHORTAGE_H
#define TASK_SHORTAGE_H

#include <lua.h>
#include <stdbool.h>

struct shortage;
struct vm;

void shortage_init(struct shortage *shortage);
void shortage_deinit(struct shortage *shortage);
/* A task failed; the error is on top of its stack. */
void shortage_note(struct vm *vm, lua_State *L, int status);
void shortage_note_memory(struct vm *vm); /* ... for lack of memory, or could not even be made */
/* Whether the state is in one. */
bool shortage_is_certain(struct vm *vm);
/* A little more memory for its last acts, in which it gives away what it holds. */
void shortage_relax(struct vm *vm);
void shortage_restore(struct vm *vm); /* they were not the last: takes that away again */

#endif
