/* The parts of core.task that have files of their own. Each adds its fields to the table on top of
 * the stack, leaves that there and returns 0. May raise. */
#ifndef TASK_BIND_TASK_H
#define TASK_BIND_TASK_H

#include <lua.h>

int bind_task_waiters(lua_State *L);
int bind_task_crew(lua_State *L);
int bind_task_roster(lua_State *L);
int bind_task_thread(lua_State *L);

#endif
