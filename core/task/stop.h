/* The two errors that no pcall keeps: "cancelled", and "stopped by the watchdog". One userdata each
 * per vm, so that raising one needs no memory and telling it is comparing a pointer. */
#ifndef TASK_STOP_H
#define TASK_STOP_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

struct vm;

void stop_open(lua_State *L);                           /* makes both; may raise */
void stop_push_watchdog(lua_State *L, uint32_t ran_ms); /* how long the slice ran, for its text */
/* The first of the two; task_is_cancel tells either. */
bool stop_is_cancelled(lua_State *L, int index);

#endif
