/* Puts neap.core together. Adding a binding: write bind_<type>.c, declare it in core.h, list it
 * here. */
#include "script/core.h"

#include "script/call.h"
#include "script/vm.h"

#include <lauxlib.h>

static const lua_CFunction bindings[] = {
    bind_json,  bind_log,     bind_crypto,    bind_uri,    bind_router, bind_multipart,
    bind_task,  bind_request, bind_stream,    bind_dir,    bind_serve,  bind_response,
    bind_store, bind_topic,   bind_websocket, bind_reader, bind_socket, bind_listener,
    bind_net,   bind_visit,   bind_phases,
};

static int install(lua_State *L)
{
    lua_settop(L, 0);
    lua_newtable(L);
    for (size_t i = 0; i < sizeof(bindings) / sizeof(bindings[0]); i++) {
        bindings[i](L);
        lua_settop(L, 1);
    }
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_insert(L, 1);
    lua_setfield(L, 1, "neap.core");

    lua_getglobal(L, "require"); /* still Lua's own, the loader replaces it */
    lua_pushliteral(L, "neap.loader");
    lua_call(L, 1, 0);
    return 0;
}

int core_install(struct vm *vm)
{
    return call_protected(vm, install, NULL, "the library neap.core");
}
