/* The C half of the library: the table that Lua gets from require "neap.core". */
#ifndef SCRIPT_CORE_H
#define SCRIPT_CORE_H

#include <lua.h>

struct vm;

/* Builds neap.core in a fresh vm and installs the yieldable require. 0, or -1 after logging why
 * not. */
int core_install(struct vm *vm);
/* The same for a state of task.thread: the part that needs no event loop. May raise. */
void core_install_portable(lua_State *L);

/* Each adds its fields to the table on top of the stack and leaves that there; returns 0. May
 * raise. */
int bind_json(lua_State *L);
int bind_log(lua_State *L);
int bind_crypto(lua_State *L);
int bind_uri(lua_State *L);
int bind_router(lua_State *L);
int bind_multipart(lua_State *L);
int bind_task(lua_State *L);
int bind_waiters(lua_State *L); /* this and the next three to core.task, by bind_task */
int bind_crew(lua_State *L);
int bind_roster(lua_State *L);
int bind_thread(lua_State *L);
int bind_request(lua_State *L);
int bind_stream(lua_State *L);
int bind_dir(lua_State *L);
int bind_serve(lua_State *L);
int bind_phases(lua_State *L);
int bind_response(lua_State *L);
int bind_socket(lua_State *L);
int bind_listener(lua_State *L);
int bind_kept(lua_State *L);
int bind_library(lua_State *L);
int bind_net(lua_State *L);
int bind_tls(lua_State *L);
int bind_trust(lua_State *L);
int bind_scrypt(lua_State *L);
int bind_sqlite(lua_State *L);
int bind_http(lua_State *L);
int bind_port(lua_State *L);
int bind_tally(lua_State *L);
int bind_store(lua_State *L);
int bind_topic(lua_State *L);
int bind_reader(lua_State *L);
int bind_websocket(lua_State *L);
int bind_visit(lua_State *L);
int bind_redis(lua_State *L);
int bind_pg(lua_State *L);

#endif
