/* What the watchdog looks at: whether Lua runs in a state, and since when. Written by the worker
 * with two stores a slice, read from outside; see watchdog.h. */
#ifndef TASK_WATCH_H
#define TASK_WATCH_H

#include <lua.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WATCH_NAME_SIZE 64

struct watch {
    _Atomic uint32_t slice;     /* odd while Lua runs; grows with each slice */
    lua_State *_Atomic running; /* the coroutine that runs now */
    _Atomic int alarm; /* enum alarm in watchdog.c: set by the watcher, taken by the hook */
    _Atomic uint32_t alarm_slice; /* the slice that it is meant for */
    _Atomic uint32_t alarm_ms;    /* how long that has been running */
    _Atomic uint32_t answered;    /* the slice in which the hook last ran */
    _Atomic bool is_signalled;    /* a signal is on its way: send no second one */
    _Atomic uint32_t who_slice;   /* `who` is complete for this slice */
    char who[WATCH_NAME_SIZE];    /* name of the task, copied by the signal handler */
    pthread_t thread;             /* the worker's */
    /* the watcher's own notes: */
    uint32_t seen_slice;
    uint64_t seen_since_ms;
    int sounded; /* ticks since the first alarm of this slice, 0: none yet */
};

static inline void watch_count(struct watch *watch)
{
    /* Only this thread writes it. */
    uint32_t slice = atomic_load_explicit(&watch->slice, memory_order_relaxed);
    atomic_store_explicit(&watch->slice, slice + 1, memory_order_relaxed);
}
static inline bool watch_is_running(const struct watch *watch)
{
    return atomic_load_explicit(&watch->slice, memory_order_relaxed) & 1;
}
static inline void watch_enter(struct watch *watch, lua_State *L)
{
    atomic_store_explicit(&watch->running, L, memory_order_relaxed);
    watch_count(watch);
}
static inline void watch_leave(struct watch *watch)
{
    watch_count(watch);
    atomic_store_explicit(&watch->running, NULL, memory_order_relaxed);
}
/* Control moves to another coroutine of the same slice. */
static inline void watch_switch(struct watch *watch, lua_State *L)
{
    atomic_store_explicit(&watch->running, L, memory_order_relaxed);
}

#endif
