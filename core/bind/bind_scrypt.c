/* core.scrypt: turns a password into bytes, slowly on purpose, on a thread of the pool. */
#include "base/mem.h"
#include "net/work.h"
#include "task/task.h"
#include "task/vm.h"
#include "value/binding.h"

#include <lauxlib.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#define SALT_MAX 64
#define KEY_LEN 32
#define MEMORY_MAX ((uint64_t)512 * 1024 * 1024)

struct scrypt {
    struct work work;
    struct wait *wait; /* NULL: nobody waits any more */
    uint64_t n, r, p;  /* cost of memory, size of a block, repetitions */
    char *password;
    size_t password_len;
    unsigned char salt[SALT_MAX];
    size_t salt_len;
    unsigned char key[KEY_LEN];
    bool is_done;
};

static void scrypt_free(struct scrypt *scrypt)
{
    OPENSSL_cleanse(scrypt->password, scrypt->password_len);
    mem_free(scrypt->password);
    OPENSSL_cleanse(scrypt->key, KEY_LEN);
    mem_free(scrypt);
}

static void bind_scrypt_run(struct work *work)
{
    struct scrypt *scrypt = container_of(work, struct scrypt, work);
    scrypt->is_done =
        EVP_PBE_scrypt(scrypt->password, scrypt->password_len, scrypt->salt, scrypt->salt_len,
                       scrypt->n, scrypt->r, scrypt->p, MEMORY_MAX, scrypt->key, KEY_LEN) == 1;
}

static void bind_scrypt_on_done(struct work *work, int err)
{
    struct scrypt *scrypt = container_of(work, struct scrypt, work);
    (void)err; /* cancelled: then nobody waits */
    if (scrypt->wait != NULL)
        task_wake_wait(scrypt->wait, 0);
    else
        scrypt_free(scrypt);
}

/* What has begun cannot be stopped, but nobody hears of it. */
static void undo(struct wait *wait)
{
    struct scrypt *scrypt = wait->source;
    scrypt->wait = NULL;
    work_cancel(&scrypt->work);
}

static void bind_scrypt_lose(struct wait *wait)
{
    scrypt_free(wait->source);
}

static int bind_scrypt_finish(lua_State *L, struct wait *wait)
{
    struct scrypt *scrypt = wait->source;
    unsigned char key[KEY_LEN];
    bool is_done = scrypt->is_done;
    memcpy(key, scrypt->key, KEY_LEN);
    scrypt_free(scrypt);
    if (!is_done)
        return luaL_error(L, "scrypt: no memory, or parameters that OpenSSL refuses");
    lua_pushlstring(L, (const char *)key, KEY_LEN);
    OPENSSL_cleanse(key, KEY_LEN);
    return 1;
}

static uint64_t parameter(lua_State *L, int index, lua_Integer most)
{
    lua_Integer value = luaL_checkinteger(L, index);
    luaL_argcheck(L, value >= 1 && value <= most, index, "out of range");
    return (uint64_t)value;
}

/* scrypt(password, salt, log2 of n, r, p) -> 32 bytes; parks */
static int crypto_scrypt(lua_State *L)
{
    size_t password_len, salt_len;
    const char *password = luaL_checklstring(L, 1, &password_len);
    const char *salt = luaL_checklstring(L, 2, &salt_len);
    luaL_argcheck(L, salt_len <= SALT_MAX, 2, "too long");
    uint64_t n = (uint64_t)1 << parameter(L, 3, 20);
    uint64_t r = parameter(L, 4, 32);
    uint64_t p = parameter(L, 5, 64);
    struct wait *wait = task_wait(L);

    struct scrypt *scrypt = mem_calloc(sizeof(*scrypt));
    *scrypt = (struct scrypt){.wait = wait, .n = n, .r = r, .p = p};
    scrypt->password = mem_strndup(password, password_len);
    scrypt->password_len = password_len;
    memcpy(scrypt->salt, salt, salt_len);
    scrypt->salt_len = salt_len;
    scrypt->work.run = bind_scrypt_run;
    scrypt->work.on_done = bind_scrypt_on_done;
    wait->undo = undo;
    wait->lost = bind_scrypt_lose;
    wait->finish = bind_scrypt_finish;
    wait->source = scrypt;
    work_start(&scrypt->work, vm_of(L)->loop);
    return task_park(L, WAIT_FOREVER);
}

static int bind_scrypt(lua_State *L)
{
    lua_pushcfunction(L, crypto_scrypt);
    lua_setfield(L, -2, "scrypt");
    return 0;
}

BINDING(bind_scrypt)
