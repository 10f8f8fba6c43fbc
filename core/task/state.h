/* Makes a Lua state with everything that runs Lua in it: its allocator with a memory ceiling, the
 * cleaned standard library, the scheduler, the watchdog. */
#ifndef TASK_STATE_H
#define TASK_STATE_H

#include "task/vm.h"

/* On the worker's thread. NULL when out of memory. */
struct vm *state_new(const struct vm_options *options);
/* Every task must have ended (task_cancel_all, then task_cut_all); nobody may call watchdog_tick
 * any more. */
void state_free(struct vm *vm);

#endif
