/* A crew: the tasks of a group. It knows how many live, which failed first, and cancels the others
 * then; all of that without memory, so that a group can rely on it. A userdata, kept alive by each
 * member. */
#ifndef TASK_CREW_H
#define TASK_CREW_H

#include <lua.h>
#include <stdbool.h>

struct crew;
struct task_ref;

struct crew *crew_check(lua_State *L, int index);
void crew_join(struct crew *crew, struct task_ref *ref);
/* `ref`, on top of the stack, has ended. May cancel any other task. Does not raise. */
void crew_leave(lua_State *L, struct task_ref *ref);
/* Nobody has failed yet, and somebody would hear of it. */
bool crew_wants_failure(const struct crew *crew);

#endif
