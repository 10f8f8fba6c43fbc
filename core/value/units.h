/* Durations and sizes as Lua users write them: 1.5, "250ms", "5m"; 4096, "1MB". */
#ifndef VALUE_UNITS_H
#define VALUE_UNITS_H

#include <lua.h>
#include <stdint.h>

uint64_t units_check_duration(lua_State *L, int index); /* milliseconds; raises */
/* Bytes; math.huge is "no limit" (UINT64_MAX); raises. */
uint64_t units_check_size(lua_State *L, int index);

#endif
