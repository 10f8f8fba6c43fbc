/* A task: a pooled Lua coroutine that may wait (park) anywhere. The scheduler: task.c holds the
 * only lua_resume. A body runs under an lua_pcallk base frame, so that its <close> handlers run,
 * and may park, when it fails. Cancelling injects an error that our pcall re-raises. */
#ifndef TASK_TASK_H
#define TASK_TASK_H

#include "base/list.h"
#include "base/slots.h"
#include "net/deadline.h"
#include "net/loop.h"
#include "task/vm.h"

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

struct task;
struct wait;

enum task_state { TASK_NEW, TASK_RUNNING, TASK_PARKED, TASK_READY, TASK_ENDED };
enum wait_outcome { WAIT_PENDING, WAIT_WOKEN, WAIT_TIMEOUT, WAIT_CANCELLED };

#define WAIT_FOREVER UINT64_MAX

/* Why a task is suspended. Exactly one of wake, timeout and cancel happens. */
struct wait {
    struct list link; /* for the queue of what is waited for */
    /* Forget the registration: timeout or cancel won. May be NULL. */
    void (*undo)(struct wait *wait);
    void (*lost)(struct wait *wait); /* woken, but cut off before `finish`. May be NULL */
    /* Pushes the results, in the task; may raise. NULL: none. */
    int (*finish)(lua_State *L, struct wait *wait);
    /* The task is cancelled. true: what is under way cannot be taken back in an instant, but has
     * been asked to stop and wakes the wait soon; `finish` says whether it happened. NULL:
     * false. */
    bool (*holds_on)(struct wait *wait);
    void *source;      /* what is waited for */
    struct conn *conn; /* of the peer that is waited for: see conn_catch_up. NULL: none */
    intptr_t result;   /* from the waker */
    enum wait_outcome outcome;
    struct deadline deadline;
};

struct task {
    lua_State *co;
    int co_ref; /* keeps `co` alive, in the registry */
    struct vm *vm;
    slot_handle handle;
    enum task_state state;
    struct list link;       /* in vm->tasks, or vm->idle_tasks */
    struct list ready_link; /* in vm->ready */
    struct wait wait;
    struct list joiners; /* waits of those who join this task */
    const char *name;    /* static or kept alive by who started it; for logs and `neap ps` */
    uint64_t started_ms;
    slot_handle parent; /* the task in which it was started, 0: none */
    const char *kind; /* what it belongs to, for `neap ps`: "request", ... Static; NULL: the app */
    uint32_t kind_id; /* ... and which of them, 0: they have no numbers */
    int args;         /* on co, for the first slice */
    int end_status;   /* how the body ended, once it has */
    char *traceback;  /* where the body failed, until it was logged or given to on_error */
    char *cause; /* traceback from another coroutine or task, whose error was raised here again */
    const void *cause_of; /* ... the error value it belongs to (lua_topointer) */
    uint32_t grace_ms;    /* given to the <close> handlers when cancelled */
    uint32_t gone;        /* calls since it last waited that found their peer gone */
    uint16_t shields;     /* depth of task.shield: a cancel waits until it is 0 */
    bool has_started;
    bool is_cancelled;     /* asked for; raised at the next park */
    bool is_unwinding;     /* the cancel error was raised: <close> handlers may park */
    bool answers_errors;   /* on_error logs no error that carries a status: see fault_handler */
    struct deadline grace; /* end of the unwinding */
    /* Hooks of who started it; all may be NULL. */
    /* In the task, after the body failed (not when it was cancelled): error value and traceback
     * string on the stack. May park. What it returns are the results. NULL: failures are logged. */
    int (*on_error)(lua_State *L, struct task *task);
    /* Outside any protected call, so it must not do what may raise: LUA_OK with the results, or the
     * error value, are all that is on `co`. */
    void (*on_end)(struct task *task, int status);
    void *owner;
};

/* Take a task; push a function and at most 12 values on task->co (lua_checkstack for more), set the
 * hooks, then task_start. The stack of `co` has other things below: do not use absolute indices.
 * NULL: out of memory. */
struct task *task_new(struct vm *vm, const char *name);
/* Runs it now until it parks or ends: task may be gone after this. While Lua runs already:
 * task_start_later. */
void task_start(struct task *task, int args);
/* At the end of this turn, or as soon as there is time. */
void task_start_later(struct task *task, int args);
void task_drop(struct task *task);   /* instead of starting it; no hook is called */
void task_cancel(struct task *task); /* any state; no effect the second time */
/* End it now (not the running one): its <close> handlers run, but cannot wait. */
void task_cut(struct task *task);
void task_cancel_all(struct vm *vm);
void task_cut_all(struct vm *vm); /* and those that they start meanwhile: none is left */
const char *task_state_name(const struct task *task);        /* as `t.status` shows it */
static inline bool task_must_unwind(const struct task *task) /* the next park raises */
{
    return task->is_cancelled && !task->is_unwinding && task->shields == 0;
}
struct task *task_of(lua_State *L); /* the task that runs now; NULL in call_protected */
static inline struct task *task_get(struct vm *vm, slot_handle handle) /* NULL once it has ended */
{
    return slots_get(&vm->task_slots, handle);
}

/* Parking, in a binding:
 *
 *     struct wait *wait = task_wait(L);   raises: not in a task, not yieldable here, cancelled
 *     wait->undo = ...;
 *     wait->finish = ...;
 *     wait->source = ...;
 *     list_push(&thing->waiters, &wait->link);
 *     return task_park(L, timeout_ms);
 *
 * The arguments stay on the stack for `finish`. A cancelled wait raises instead of calling
 * `finish`, which may itself end in task_wait and `return task_park(...)`. Nothing may raise
 * between task_wait and task_park. */
struct wait *task_wait(lua_State *L);
int task_park(lua_State *L, uint64_t timeout_ms);
int task_raise_cancel(lua_State *L); /* in `finish`, after holds_on: it did not happen */
/* From a callback of the loop or another task, any time after task_wait. Takes the wait off its
 * queue. Without effect when the wait has ended already. */
void task_wake_wait(struct wait *wait, intptr_t result);
bool task_wait_is_linked(const struct wait *wait); /* is on the queue of what it waits for */
static inline struct task *task_of_wait(struct wait *wait)
{
    return container_of(wait, struct task, wait);
}
#define TASK_CALL_BITS 10     /* 1 KB is a call */
#define TASK_FIRST_LOOK 2     /* many a task calls once: the time counts from the second */
bool task_look(lua_State *L); /* for task_had_enough: the same, by the clock */
/* A task may loop over a peer that always has something for it, or takes everything at once. So
 * what may have to wait, and need not, asks this: whether the task has called so often (256 times,
 * or 256 KB: `len` bytes) or run for so long (1 ms) that others should have their turn. Then it
 * lets them: task_yield_then, task_pause. */
static inline bool task_had_enough(lua_State *L, size_t len)
{
    struct vm *vm = vm_of(L);
    vm->calls += 1 + (uint32_t)(len >> TASK_CALL_BITS);
    return vm->calls >= vm->calls_look && task_look(L);
}
/* Who has gone answers at once, and for ever: a loop that does not look at the answer would never
 * wait. So a call that finds its peer gone ends in this, with its `count` results on the stack. It
 * lets others run, as above, and raises when a task has called so for 100,000 times. */
int task_answer_gone(lua_State *L, int count);
/* Parks like task_park, until others have had their turn, unless it is woken before. The caller may
 * have set all of `wait` but its link. */
int task_pause(lua_State *L, struct wait *wait);
int task_yield(lua_State *L); /* a lua_CFunction: lets everybody else run first, I/O too */
int task_yield_then(lua_State *L, int (*finish)(lua_State *L, struct wait *wait));

/* The error object that cancels; guard.c's pcall, xpcall and coroutine.c's resume raise it
 * again. */
void task_push_cancel(lua_State *L);
/* Cancelled, or stopped by the watchdog: not to be caught. */
bool task_is_cancel(lua_State *L, int index);

/* ---- between task.c, task_cut.c, wait.c and coroutine.c ---- */

/* It has ended: its coroutine holds nothing but the results, or the error value. */
void task_finish(struct task *task, int status, bool is_clean);
void task_finish_unused(struct task *task); /* it never started */
void task_on_grace_over(struct deadline *deadline);

void task_free_idle(struct vm *vm);           /* for state_free */
void task_make_ready(struct task *task);      /* the same for one that has waited */
bool task_is_bottom(lua_State *co);           /* a task that has not begun lies on its stack */
void task_begin_unwinding(struct task *task); /* the cancel error is about to be raised */
void task_wait_init(struct wait *wait);       /* once, when the task's memory is made */
void task_wait_end(struct wait *wait, enum wait_outcome outcome);
/* A suspended coroutine has a mark on top of its stack when it is parked, and not merely yielded to
 * its user. */
bool task_park_is_marked(lua_State *co);
/* The nested coroutine whose park it passed on, or NULL: it parked itself. */
lua_State *task_park_below(lua_State *co);
lua_State *task_park_innermost(lua_State *co); /* the one that parked itself, or `co` */
/* Passes the park of `co` on to whoever resumed L. `k` finds `co` and the mark on the stack, to
 * pop. */
int task_park_through(lua_State *L, lua_State *co, lua_KContext ctx, lua_KFunction k);

#endif
