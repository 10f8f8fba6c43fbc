/* What Lua holds of a task: its handle, and after its end what became of it. The collector owns
 * references; while a task that Lua spawned lives, the registry keeps the one that spawn
 * returned. */
#ifndef TASK_TASK_REF_H
#define TASK_TASK_REF_H

#include "base/list.h"
#include "base/slots.h"

#include <lua.h>
#include <stdbool.h>

#define TASK_REF_TYPE "neap.task"

struct crew;
struct task;

enum task_ref_outcome {
    TASK_REF_OPEN, /* lives; or, when the task is gone: was cancelled */
    TASK_REF_DONE,
    TASK_REF_FAILED
};

/* User values. */
enum task_ref_value {
    TASK_REF_RESULTS = 1, /* a list, or the error */
    TASK_REF_TRACEBACK,
    TASK_REF_NAME,
    TASK_REF_CREW, /* keeps ref->crew alive */
    TASK_REF_VALUES = TASK_REF_CREW
};

struct task_ref {
    slot_handle task;
    enum task_ref_outcome outcome;
    int count;           /* results */
    bool is_owned;       /* somebody will ask for the error: do not log it */
    int anchor;          /* in the registry, while the task lives */
    struct crew *crew;   /* which it belongs to, or NULL */
    struct list sibling; /* in the crew */
};

void task_ref_open(lua_State *L); /* makes the metatable, which the binding fills; may raise */
struct task_ref *task_ref_check(lua_State *L, int index);
struct task *task_ref_task(lua_State *L, const struct task_ref *ref); /* NULL once it has ended */
/* Replaces the function at `fn` and its arguments, all the rest of the stack, by the reference of a
 * new task, which is named by the string or after the function at `about`. `crew`: index of one
 * that it joins, or 0. */
int task_ref_spawn(lua_State *L, int about, int fn, int crew, bool is_owned);
/* The same value for the same task, always. */
void task_ref_push_self(lua_State *L, struct task *task);
bool task_ref_is_spawned(const struct task *task);  /* by Lua, not by the core */
int task_ref_push_outcome(lua_State *L, int index); /* of an ended one: true, ... | false, err */

#endif
