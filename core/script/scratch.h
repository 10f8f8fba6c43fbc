/* A buffer that Lua's collector frees: for bytes that are held while something may raise. */
#ifndef SCRIPT_SCRATCH_H
#define SCRIPT_SCRATCH_H

#include "base/bytes.h"

#include <lua.h>

struct bytes *scratch_push(lua_State *L); /* pushes it, empty */

#endif
