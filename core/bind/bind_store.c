/* `neap.store`: data shared by all workers. The store lives with the process, so the userdata may
 * hold its pointer. */
#include "live/shelf.h"
#include "live/store.h"
#include "net/loop.h"
#include "task/vm.h"
#include "value/binding.h"
#include "value/scratch.h"
#include "value/units.h"
#include "value/value.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>

#define STORE_TYPE "neap.store"

static struct store *store_check(lua_State *L)
{
    return *(struct store **)luaL_checkudata(L, 1, STORE_TYPE);
}

static uint64_t bind_store_now_ms(lua_State *L)
{
    return vm_now_ms(vm_of(L));
}

/* Pushes true, or nil and what went wrong. */
static int push_result(lua_State *L, int err)
{
    if (err == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    switch (err) {
    case -ENOSPC: lua_pushliteral(L, "full"); break;
    case -EEXIST: lua_pushliteral(L, "exists"); break;
    case -EAGAIN: lua_pushliteral(L, "changed"); break;
    case -ENOENT: lua_pushliteral(L, "absent"); break;
    default: lua_pushstring(L, strerror(-err)); break;
    }
    return 2;
}

static struct bytes *check_value(lua_State *L, int index)
{
    char error[VALUE_ERROR_SIZE];
    struct bytes *out = scratch_push(L);
    if (value_write(L, index, out, error) < 0)
        luaL_argerror(L, index, error);
    return out;
}

/* The option ttl of the table at `index`, in ms; 0: none. */
static uint64_t ttl_option(lua_State *L, int index)
{
    if (lua_isnoneornil(L, index))
        return 0;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_getfield(L, index, "ttl");
    uint64_t ttl_ms = lua_isnil(L, -1) ? 0 : units_check_duration(L, -1);
    lua_pop(L, 1);
    return ttl_ms;
}

/* get(key) -> value | nil */
static int store_lua_get(lua_State *L)
{
    struct store *store = store_check(L);
    size_t len;
    const char *key = luaL_checklstring(L, 2, &len);
    struct bytes *out = scratch_push(L);
    if (store_get(store, key, len, bind_store_now_ms(L), out) < 0) {
        lua_pushnil(L);
        return 1;
    }
    value_push(L, out->data, out->len);
    return 1;
}

typedef int (*put_fn)(struct store *store, const char *key, size_t key_len,
                      struct store_value value, uint64_t now, uint64_t ttl_ms);

static int bind_store_put(lua_State *L, put_fn fn)
{
    struct store *store = store_check(L);
    size_t len;
    const char *key = luaL_checklstring(L, 2, &len);
    luaL_checkany(L, 3);
    uint64_t ttl_ms = ttl_option(L, 4);
    if (lua_isnil(L, 3) && fn == store_set) {
        store_delete(store, key, len, bind_store_now_ms(L));
        return push_result(L, 0);
    }
    struct bytes *value = check_value(L, 3);
    return push_result(L, fn(store, key, len, (struct store_value){value->data, value->len},
                             bind_store_now_ms(L), ttl_ms));
}

/* set(key, value [, {ttl=}]) -> true | nil, "full" */
static int store_lua_set(lua_State *L)
{
    return bind_store_put(L, store_set);
}

/* add(key, value [, {ttl=}]) -> true | nil, "exists" | nil, "full" */
static int store_lua_add(lua_State *L)
{
    return bind_store_put(L, store_add);
}

struct increment {
    struct value_number by;
    struct bytes *result; /* the new number, as it was stored */
};

/* Runs under the store's lock, so without Lua. */
static int increment_change(const struct store_value *present, struct bytes *out, void *arg)
{
    struct increment *inc = arg;
    struct value_number number = {.is_integer = true};
    if (present && value_read_number(present->data, present->len, &number) < 0)
        return -EINVAL;
    value_number_add(&number, &inc->by);
    value_write_number(&number, out);
    value_write_number(&number, inc->result);
    return 0;
}

/* incr(key [, by [, {ttl=}]]) -> the new number | nil, "no number" | nil, "full" */
static int store_lua_incr(lua_State *L)
{
    struct store *store = store_check(L);
    size_t len;
    const char *key = luaL_checklstring(L, 2, &len);
    struct increment inc = {.by = {.is_integer = true, .integer = 1}};
    if (!lua_isnoneornil(L, 3)) {
        inc.by.number = luaL_checknumber(L, 3);
        inc.by.is_integer = lua_isinteger(L, 3);
        inc.by.integer = inc.by.is_integer ? lua_tointeger(L, 3) : 0;
    }
    uint64_t ttl_ms = ttl_option(L, 4);
    inc.result = scratch_push(L);
    int err = store_update(store, key, len, increment_change, &inc, bind_store_now_ms(L), ttl_ms);
    if (err == -EINVAL) {
        lua_pushnil(L);
        lua_pushliteral(L, "no number");
        return 2;
    }
    if (err < 0)
        return push_result(L, err);
    value_push(L, inc.result->data, inc.result->len);
    return 1;
}

/* Gets the bytes that are stored, when they are the data at index 3; nil there: none are. Equal
 * tables may have different bytes, so they are compared as data. */
static bool find_expected(lua_State *L, struct store *store, const char *key, size_t len,
                          struct bytes *present)
{
    bytes_clear(present);
    if (store_get(store, key, len, bind_store_now_ms(L), present) < 0) {
        bytes_clear(present);
        return lua_isnil(L, 3);
    }
    value_push(L, present->data, present->len);
    bool is_expected = value_equal(L, 3, -1);
    lua_pop(L, 1);
    return is_expected;
}

/* cas(key, expected, value [, {ttl=}]) -> true | nil, "changed" | nil, "full"; expected nil:
 * absent. */
static int store_lua_cas(lua_State *L)
{
    struct store *store = store_check(L);
    size_t len;
    const char *key = luaL_checklstring(L, 2, &len);
    luaL_checkany(L, 4);
    uint64_t ttl_ms = ttl_option(L, 5);
    struct bytes *present = scratch_push(L);
    struct bytes *value = check_value(L, 4);
    int err = -EAGAIN;
    while (err == -EAGAIN && find_expected(L, store, key, len, present)) {
        struct store_value expected = {0};
        if (!lua_isnil(L, 3))
            expected = (struct store_value){present->data, present->len};
        err = store_cas(store, key, len, expected, (struct store_value){value->data, value->len},
                        bind_store_now_ms(L),
                        ttl_ms); /* -EAGAIN: another worker was faster; look again */
    }
    return push_result(L, err);
}

/* delete(key) -> true | nil, "absent" */
static int store_lua_delete(lua_State *L)
{
    size_t len;
    struct store *store = store_check(L);
    const char *key = luaL_checklstring(L, 2, &len);
    return push_result(L, store_delete(store, key, len, bind_store_now_ms(L)));
}

/* keys() -> list, in no order */
static int store_lua_keys(lua_State *L)
{
    struct store *store = store_check(L);
    struct bytes *keys = scratch_push(L);
    store_keys(store, bind_store_now_ms(L), keys);
    lua_newtable(L);
    lua_Integer count = 0;
    for (size_t at = 0; at < keys->len;) {
        uint32_t len;
        memcpy(&len, keys->data + at, sizeof(len));
        lua_pushlstring(L, keys->data + at + sizeof(len), len);
        lua_rawseti(L, -2, ++count);
        at += sizeof(len) + len;
    }
    return 1;
}

/* clear() */
static int store_lua_clear(lua_State *L)
{
    store_clear(store_check(L));
    return 0;
}

/* core.store(name) -> store */
static int core_store(lua_State *L)
{
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len);
    struct store **box = lua_newuserdatauv(L, sizeof(*box), 0);
    *box = shelf_store(vm_of(L)->options.shelf, name, len);
    luaL_setmetatable(L, STORE_TYPE);
    return 1;
}

static int bind_store(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"get", store_lua_get},   {"set", store_lua_set},     {"add", store_lua_add},
        {"incr", store_lua_incr}, {"cas", store_lua_cas},     {"delete", store_lua_delete},
        {"keys", store_lua_keys}, {"clear", store_lua_clear}, {NULL, NULL}};
    luaL_newmetatable(L, STORE_TYPE);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    lua_pushcfunction(L, core_store);
    lua_setfield(L, -2, "store");
    return 0;
}

BINDING_PORTABLE(bind_store)
