/* Durations and sizes as Lua users write them: 1.5, "250ms", "5m"; 4096, "1MB". */
#ifndef SCRIPT_DURATION_H
#define SCRIPT_DURATION_H

#include <lua.h>
#include <stdint.h>

uint64_t duration_check(lua_State *L, int index); /* milliseconds; raises */
uint64_t size_check(lua_State *L, int index); /* bytes; math.huge is "no limit" (UINT64_MAX); raises
                                               */

#endif
