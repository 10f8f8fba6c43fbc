/* From the router object that Lua has (core.router) to the router for C. */
#ifndef WEB_BIND_ROUTER_H
#define WEB_BIND_ROUTER_H

#include <lua.h>

struct router;

/* The router at `index`; raises when it is none. It lives as long as the Lua object: keep that
 * referenced. router_find works on it from C at any time on the thread of its Lua state, while Lua
 * runs or not. */
struct router *bind_router_check(lua_State *L, int index);

#endif
