/* Puts neap.core together. Adding a binding: write bind_<type>.c, declare it in core.h, list it
 * here. */
#include "script/core.h"

#include "script/call.h"
#include "script/library.h"
#include "script/vm.h"

#include <lauxlib.h>

/* One to a line, so that branches can each add theirs. */
/* clang-format off */
static const lua_CFunction bindings[] = {
    bind_crypto,
    bind_dir,
    bind_http,
    bind_json,
    bind_kept,
    bind_library,
    bind_listener,
    bind_log,
    bind_multipart,
    bind_net,
    bind_pg,
    bind_phases,
    bind_port,
    bind_reader,
    bind_redis,
    bind_request,
    bind_response,
    bind_router,
    bind_scrypt,
    bind_serve,
    bind_socket,
    bind_sqlite,
    bind_store,
    bind_stream,
    bind_tally,
    bind_task,
    bind_tls,
    bind_topic,
    bind_trust,
    bind_uri,
    bind_visit,
    bind_websocket,
};
/* clang-format on */

/* What needs neither sockets nor an event loop. */
static const lua_CFunction portable[] = {bind_json,  bind_log, bind_crypto, bind_uri,
                                         bind_store, bind_dir, bind_task,   bind_library};

#define COUNT_OF(list) (sizeof(list) / sizeof((list)[0]))

/* Leaves neap.core on the stack. */
static void push_core(lua_State *L, const lua_CFunction *list, size_t count)
{
    lua_newtable(L);
    int top = lua_gettop(L);
    for (size_t i = 0; i < count; i++) {
        list[i](L);
        lua_settop(L, top);
    }
}

/* stack: ..., core */
static void publish(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_insert(L, -2);
    lua_setfield(L, -2, "neap.core");
    lua_pop(L, 1);
}

/* The first of our files, which makes the `require` that loads all others. */
static void load_loader(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    const char *path = lua_pushfstring(L, "%s/neap/loader.lua", vm_of(L)->options.lua_dir);
    if (library_load(L, path) != LUA_OK)
        lua_error(L);
    lua_call(L, 0, 1);
    lua_setfield(L, -3, "neap.loader");
    lua_pop(L, 2);
}

static void require_module(lua_State *L, const char *name)
{
    lua_getglobal(L, "require");
    lua_pushstring(L, name);
    lua_call(L, 1, 0);
}

static int install(lua_State *L)
{
    push_core(L, bindings, COUNT_OF(bindings));
    publish(L);
    load_loader(L);
    return 0;
}

static int refuse_field(lua_State *L)
{
    return luaL_error(L, "neap.core.%s is not available inside task.thread, see its description",
                      luaL_checkstring(L, 2));
}

void core_install_portable(lua_State *L)
{
    push_core(L, portable, COUNT_OF(portable));
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, refuse_field);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    publish(L);
    load_loader(L);
    require_module(L, "neap.portable");
}

int core_install(struct vm *vm)
{
    return call_protected(vm, install, NULL, "the library neap.core");
}
