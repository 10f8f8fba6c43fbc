/* Our own Lua files, compiled once for the process: the states of all workers and generations load
 * what the first one has compiled. Owned by the server, used from any thread. */
#ifndef TASK_LIBRARY_H
#define TASK_LIBRARY_H

#include <lua.h>

struct library;

struct library *library_new(const char *dir); /* of which folder; files elsewhere are not kept */
void library_free(struct library *library);   /* when no state is left */
/* As luaL_loadfilex, source text only. Our own get an environment of their own. */
int library_load(lua_State *L, const char *path);

#endif
