/* The rules of TLS connections, as Lua has them. */
#ifndef BIND_BIND_TLS_H
#define BIND_BIND_TLS_H

#include <lua.h>
#include <openssl/ssl.h>

SSL_CTX *bind_tls_check_config(lua_State *L, int index); /* raises; the userdata keeps it */

#endif
