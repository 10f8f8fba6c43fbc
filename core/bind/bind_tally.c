/* core.tally: what is open in the whole process, for tests that prove that nothing was left. */
#include "base/tally.h"
#include "value/binding.h"

#include <lauxlib.h>

/* tally() -> counts by kind: {connection = 2, task = 1, ...}, those of zero too */
static int core_tally(lua_State *L)
{
    lua_createtable(L, 0, TALLY_KINDS);
    for (int kind = 0; kind < TALLY_KINDS; kind++) {
        lua_pushinteger(L, tally_count((enum tally_kind)kind));
        lua_setfield(L, -2, tally_name((enum tally_kind)kind));
    }
    return 1;
}

static int bind_tally(lua_State *L)
{
    lua_pushcfunction(L, core_tally);
    lua_setfield(L, -2, "tally");
    return 0;
}

BINDING(bind_tally)
