/* core.router: the router for Lua, and the way from such an object to the router for C. */
#ifndef SCRIPT_BIND_ROUTER_H
#define SCRIPT_BIND_ROUTER_H

#include <lua.h>

struct router;

/* Adds core.router() to the table on top. */
int bind_router(lua_State *L);
/* The router at `index`; raises when it is none. It lives as long as the Lua object: keep that
 * referenced. router_find works on it from C at any time on the thread of its Lua state, while Lua
 * runs or not. */
struct router *router_check(lua_State *L, int index);

#endif
