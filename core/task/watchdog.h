/* The watchdog: notices a slice of Lua that runs too long, logs it with its traceback, then raises
 * an error that no pcall keeps. It looks from outside (watchdog_tick, called every WATCHDOG_TICK_MS
 * by the main thread) and interrupts by a signal whose handler arms a hook; a running slice costs
 * two stores. */
#ifndef TASK_WATCHDOG_H
#define TASK_WATCHDOG_H

#include "task/watch.h"

#define WATCHDOG_TICK_MS 25

struct vm;

void watchdog_init(struct vm *vm);   /* on the worker's thread */
void watchdog_deinit(struct vm *vm); /* likewise; no tick may come any more */
void watchdog_tick(struct vm *vm);   /* on the watching thread, every WATCHDOG_TICK_MS */
/* From another thread: stops the slice that runs now, or logs where it is. The vm must stay while
 * one is called. */
void watchdog_stop(struct vm *vm);
void watchdog_show(struct vm *vm, uint32_t ran_ms);
/* From another thread: the name of the task whose slice is late, "" when none is. */
void watchdog_write_late(const struct watch *watch, char name[WATCH_NAME_SIZE]);
#endif
