/* The little of cryptography that every web program needs, on OpenSSL, and base64. Digests are raw
 * bytes. */
#include "base/base64.h"
#include "base/random.h"
#include "value/binding.h"

#include <lauxlib.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdint.h>

#define RANDOM_MAX (1024 * 1024)

/* core.hmac(key, data) -> 32 bytes: HMAC-SHA-256 */
static int crypto_hmac(lua_State *L)
{
    size_t key_len, len;
    const char *key = luaL_checklstring(L, 1, &key_len);
    const char *data = luaL_checklstring(L, 2, &len);
    luaL_argcheck(L, key_len <= INT_MAX, 1, "too long");

    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    if (!HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)data, len, digest,
              &digest_len))
        return luaL_error(L, "OpenSSL cannot compute HMAC-SHA-256");

    lua_pushlstring(L, (const char *)digest, digest_len);
    return 1;
}

/* core.sha256(data) -> 32 bytes */
static int crypto_sha256(lua_State *L)
{
    size_t len;
    const char *data = luaL_checklstring(L, 1, &len);

    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    if (!EVP_Digest(data, len, digest, &digest_len, EVP_sha256(), NULL))
        return luaL_error(L, "OpenSSL cannot compute SHA-256");

    lua_pushlstring(L, (const char *)digest, digest_len);
    return 1;
}

/* core.random(n) -> n unpredictable bytes */
static int crypto_random(lua_State *L)
{
    lua_Integer count = luaL_checkinteger(L, 1);
    luaL_argcheck(L, count >= 0 && count <= RANDOM_MAX, 1, "a count from 0 to 1048576 expected");

    luaL_Buffer buffer;
    char *bytes = luaL_buffinitsize(L, &buffer, (size_t)count);
    random_fill(bytes, (size_t)count);

    luaL_pushresultsize(&buffer, (size_t)count);
    return 1;
}

/* core.equal(a, b) -> boolean; the time tells nothing about where they differ */
static int crypto_equal(lua_State *L)
{
    size_t a_len, b_len;
    const char *a = luaL_checklstring(L, 1, &a_len);
    const char *b = luaL_checklstring(L, 2, &b_len);

    lua_pushboolean(L, a_len == b_len && CRYPTO_memcmp(a, b, a_len) == 0);
    return 1;
}

/* core.base64(s [, url]) -> text */
static int crypto_base64(lua_State *L)
{
    size_t len;
    const char *data = luaL_checklstring(L, 1, &len);
    bool is_url = lua_toboolean(L, 2);
    luaL_argcheck(L, len < SIZE_MAX / 4, 1, "too long");

    luaL_Buffer buffer;
    char *text = luaL_buffinitsize(L, &buffer, base64_encoded_max(len));
    luaL_pushresultsize(&buffer, base64_encode(text, data, len, is_url));
    return 1;
}

/* core.unbase64(text [, url]) -> s | nil */
static int crypto_unbase64(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    bool is_url = lua_toboolean(L, 2);

    luaL_Buffer buffer;
    char *data = luaL_buffinitsize(L, &buffer, base64_decoded_max(len));
    ssize_t decoded = base64_decode(data, text, len, is_url);

    luaL_pushresultsize(&buffer, decoded < 0 ? 0 : (size_t)decoded);
    if (decoded < 0)
        lua_pushnil(L);
    return 1;
}

static int bind_crypto(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"hmac", crypto_hmac},
        {"sha256", crypto_sha256},
        {"random", crypto_random},
        {"equal", crypto_equal},
        {"base64", crypto_base64},
        {"unbase64", crypto_unbase64},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
    return 0;
}

BINDING_PORTABLE(bind_crypto)
