/* An errand: one call of task.thread, a function of a module that runs on a thread of its own in a
 * Lua state of its own. Two sides hold it, the task that waits and the thread; the last one frees
 * it. Only bytes go from one state to the other. */
#ifndef TASK_ERRAND_H
#define TASK_ERRAND_H

#include "base/bytes.h"

#include <stdbool.h>

struct errand;
struct wait;
struct vm;

/* What the caller fills in before errand_start; the errand owns it. */
struct errand_call {
    char *module;
    char *function;
    char *path; /* package.path and cpath of the caller's state */
    char *cpath;
    struct bytes args; /* values after each other, as value_write makes them */
    int arg_count;
};

/* What has become of it, for the one who waited. */
struct errand_outcome {
    struct bytes values; /* the results, or the error alone */
    int count;
    bool has_failed;
    struct bytes traceback; /* of the error, ends with NUL; empty: none */
};

struct errand *errand_new(struct vm *vm); /* `vm` is the caller's */
struct errand_call *errand_call(struct errand *errand);
/* Wakes `wait` when it is done. 0, or a negative errno: no thread could be made. */
int errand_start(struct errand *errand, struct wait *wait);
void errand_abandon(struct errand *errand); /* nobody waits any more: it is stopped if it can be */
const struct errand_outcome *errand_outcome(struct errand *errand); /* once the wait was woken */
void errand_drop(struct errand *errand);                            /* by the caller's side */

#endif
