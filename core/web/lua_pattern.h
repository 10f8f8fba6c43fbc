/* Checks the syntax of Lua patterns up front: string.find itself notices a mistake only when a
 * subject leads it there. */
#ifndef WEB_LUA_PATTERN_H
#define WEB_LUA_PATTERN_H

#include <stddef.h>

/* What is wrong with a pattern that is to match a whole segment of a path (so without ^ and $), or
 * NULL. */
const char *lua_pattern_check(const char *pattern, size_t len);

#endif
