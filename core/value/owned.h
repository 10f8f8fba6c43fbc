/* Userdata that own something of C for the time of one function, so that nothing of it is lost when
 * a call in between raises: what is held there never lives on the C stack alone. */
#ifndef VALUE_OWNED_H
#define VALUE_OWNED_H

#include <lua.h>

/* Gives the userdata on top, which holds nothing yet, the metatable of that name: `release` is its
 * __gc and its __close, and is called once or twice. */
void owned_set_type(lua_State *L, const char *name, lua_CFunction release);

#endif
