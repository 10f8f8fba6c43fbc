/* The watchdog: notices a slice of Lua that runs too long, logs it with its traceback, then raises
 * an error that no pcall keeps. It looks from outside (watchdog_tick, called every WATCHDOG_TICK_MS
 * by the main thread) and interrupts by a signal whose handler arms a hook; a running slice costs
 * two stores. */
#ifndef SCRIPT_WATCHDOG_H
#define SCRIPT_WATCHDOG_H

#include <lua.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WATCHDOG_TICK_MS 25
#define WATCHDOG_NAME_SIZE 64

struct vm;

struct watch {
    _Atomic uint32_t slice;     /* odd while Lua runs; grows with each slice */
    lua_State *_Atomic running; /* the coroutine that runs now */
    _Atomic int alarm; /* enum alarm in watchdog.c: set by the watcher, taken by the hook */
    _Atomic uint32_t alarm_slice; /* the slice that it is meant for */
    _Atomic uint32_t alarm_ms;    /* how long that has been running */
    _Atomic uint32_t answered;    /* the slice in which the hook last ran */
    _Atomic bool is_signalled;    /* a signal is on its way: send no second one */
    _Atomic uint32_t who_slice;   /* `who` is complete for this slice */
    char who[WATCHDOG_NAME_SIZE]; /* name of the task, copied by the signal handler */
    pthread_t thread;             /* the worker's */
    /* the watcher's own notes: */
    uint32_t seen_slice;
    uint64_t seen_since_ms;
    int sounded; /* ticks since the first alarm of this slice, 0: none yet */
};

void watchdog_init(struct vm *vm);   /* on the worker's thread */
void watchdog_deinit(struct vm *vm); /* likewise; no tick may come any more */
void watchdog_tick(struct vm *vm);   /* on the watching thread, every WATCHDOG_TICK_MS */
/* From another thread: stops the slice that runs now, or logs where it is. The vm must stay while
 * one is called. */
void watchdog_stop(struct vm *vm);
void watchdog_show(struct vm *vm, uint32_t ran_ms);
/* From another thread: the name of the task whose slice is late, "" when none is. */
void watchdog_write_late(const struct watch *watch, char name[WATCHDOG_NAME_SIZE]);
static inline void watchdog_count(struct watch *watch)
{
    uint32_t slice = atomic_load_explicit(&watch->slice, memory_order_relaxed); /* only this thread
                                                                                   writes it */
    atomic_store_explicit(&watch->slice, slice + 1, memory_order_relaxed);
}
static inline bool watchdog_is_running(const struct watch *watch)
{
    return atomic_load_explicit(&watch->slice, memory_order_relaxed) & 1;
}
static inline void watchdog_enter(struct watch *watch, lua_State *L)
{
    atomic_store_explicit(&watch->running, L, memory_order_relaxed);
    watchdog_count(watch);
}
static inline void watchdog_leave(struct watch *watch)
{
    watchdog_count(watch);
    atomic_store_explicit(&watch->running, NULL, memory_order_relaxed);
}
/* Control moves to another coroutine of the same slice. */
static inline void watchdog_switch(struct watch *watch, lua_State *L)
{
    atomic_store_explicit(&watch->running, L, memory_order_relaxed);
}

#endif
