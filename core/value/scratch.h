/* A buffer that Lua's collector frees: for bytes that are held while something may raise. */
#ifndef VALUE_SCRATCH_H
#define VALUE_SCRATCH_H

#include "base/bytes.h"

#include <lua.h>

struct bytes *scratch_push(lua_State *L); /* pushes it, empty */

#endif
