/* The rules of TLS connections, as Lua has them. */
#ifndef SCRIPT_BIND_TLS_H
#define SCRIPT_BIND_TLS_H

#include <lua.h>
#include <openssl/ssl.h>

SSL_CTX *tls_config_check(lua_State *L, int index); /* raises; the userdata keeps it */

#endif
