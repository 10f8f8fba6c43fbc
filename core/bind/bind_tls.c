/* `core.tls_config`: the rules of TLS connections, made once for many. The userdata holds a counted
 * reference, as every connection does. */
#include "bind/bind_tls.h"

#include "net/tls_config.h"
#include "value/binding.h"

#include <lauxlib.h>

#define CONFIG_TYPE "neap.tls_config"

SSL_CTX *bind_tls_check_config(lua_State *L, int index)
{
    return *(SSL_CTX **)luaL_checkudata(L, index, CONFIG_TYPE);
}

static const char *bind_tls_text_option(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name); /* the table keeps it alive */
    const char *text = luaL_optstring(L, -1, NULL);
    lua_pop(L, 1);
    return text;
}

/* tls_config{verify=, ca=, cert=, key=} -> config | nil, error */
static int core_tls_config(lua_State *L)
{
    char error[160];
    luaL_checktype(L, 1, LUA_TTABLE);
    struct tls_options options = {.ca = bind_tls_text_option(L, "ca"),
                                  .cert = bind_tls_text_option(L, "cert"),
                                  .key = bind_tls_text_option(L, "key")};
    options.is_unverified = lua_getfield(L, 1, "verify") == LUA_TBOOLEAN && !lua_toboolean(L, -1);
    SSL_CTX **box = lua_newuserdatauv(L, sizeof(*box), 0);
    *box = NULL;
    luaL_setmetatable(L, CONFIG_TYPE);

    *box = tls_config_new(&options, error, sizeof(error));
    if (*box)
        return 1;
    lua_pushnil(L);
    lua_pushstring(L, error);
    return 2;
}

static int config_gc(lua_State *L)
{
    SSL_CTX **box = luaL_checkudata(L, 1, CONFIG_TYPE);
    SSL_CTX_free(*box);
    *box = NULL;
    return 0;
}

static int bind_tls(lua_State *L)
{
    luaL_newmetatable(L, CONFIG_TYPE);
    lua_pushcfunction(L, config_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    lua_pushcfunction(L, core_tls_config);
    lua_setfield(L, -2, "tls_config");
    return 0;
}

BINDING(bind_tls)
