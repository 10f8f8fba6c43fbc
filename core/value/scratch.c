/* A buffer that Lua's collector frees: see scratch.h. */
#include "value/scratch.h"

#include "value/owned.h"

#define SCRATCH_TYPE "neap.scratch"

static int scratch_gc(lua_State *L)
{
    bytes_deinit(lua_touserdata(L, 1));
    return 0;
}

struct bytes *scratch_push(lua_State *L)
{
    struct bytes *bytes = lua_newuserdatauv(L, sizeof(*bytes), 0);
    bytes_init(bytes);
    owned_set_type(L, SCRATCH_TYPE, scratch_gc);
    return bytes;
}
