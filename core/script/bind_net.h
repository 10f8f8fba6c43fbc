/* `neap.net`: outgoing sockets whose every operation parks. */
#ifndef SCRIPT_BIND_NET_H
#define SCRIPT_BIND_NET_H

#include <lua.h>

int bind_net(lua_State *L); /* adds core.connect */

#endif
