/* JSON for Lua and for the other bindings: core.json = {encode, decode, null, array}. Owns what a
 * Lua state needs for it, all in its registry: json.null, the metatable that marks arrays, and a
 * scratch buffer. */
#include "value/json.h"

#include "base/mem.h"
#include "value/binding.h"
#include "value/json_write.h"

#include <lauxlib.h>
#include <string.h>

#define SCRATCH_KEEP ((size_t)64 * 1024) /* a larger buffer is given back after its use */

/* Keys of the registry: their addresses are unique. */
static const char null_key, array_key, scratch_key;

void json_push_null(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &null_key);
}

void json_push_array_metatable(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
}

/* ---- for C ---- */

int json_encode(lua_State *L, int index, struct json_text *out)
{
    struct bytes text;
    bytes_init(&text);
    out->error[0] = '\0';
    struct json_error error;
    int err = json_write(L, index, false, &text, &error);
    if (err) {
        bytes_deinit(&text);
        memcpy(out->error, error.text, sizeof out->error);
    }
    out->data = text.data;
    out->len = text.len;
    return err;
}

void json_free(struct json_text *text)
{
    mem_free(text->data);
    text->data = NULL;
    text->len = 0;
}

/* Encodes into the scratch buffer of the state, which owns the text should the push raise. The
 * writer runs no Lua code, so nobody else can use the buffer in between. */
static int push_encoded(lua_State *L, int index, bool is_pretty, struct bytes *scratch)
{
    struct json_error error;
    bytes_clear(scratch);
    int err = json_write(L, index, is_pretty, scratch, &error);
    if (err)
        lua_pushstring(L, error.text);
    else
        lua_pushlstring(L, scratch->data, scratch->len);
    if (scratch->cap > SCRATCH_KEEP)
        bytes_deinit(scratch);
    return !err;
}

int json_push_encoded(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    luaL_checkstack(L, 4, "json");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &scratch_key);
    struct bytes *scratch = lua_touserdata(L, -1);
    lua_pop(L, 1); /* stays in the registry */
    return push_encoded(L, index, false, scratch);
}

/* ---- for Lua ---- */

/* json.encode(value [, {pretty=}]) -> string; raises for what JSON cannot say */
static int bind_encode(lua_State *L)
{
    bool is_pretty = false;
    luaL_checkany(L, 1);
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        lua_getfield(L, 2, "pretty");
        is_pretty = lua_toboolean(L, -1);
    }

    if (push_encoded(L, 1, is_pretty, lua_touserdata(L, lua_upvalueindex(1))))
        return 1;
    return luaL_error(L, "%s", lua_tostring(L, -1));
}

/* json.decode(text) -> value | nil, message */
static int bind_decode(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);

    return json_push_decoded(L, text, len);
}

/* json.array([t]) -> t, marked: an array even when empty */
static int bind_array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    json_push_array_metatable(L);
    if (lua_getmetatable(L, 1)) {
        luaL_argcheck(L, lua_rawequal(L, -1, 2), 1, "has a metatable of its own already");
        lua_pop(L, 1);
    }

    lua_setmetatable(L, 1);
    return 1;
}

static int null_tostring(lua_State *L)
{
    lua_pushliteral(L, "null");
    return 1;
}

static int scratch_gc(lua_State *L)
{
    bytes_deinit(lua_touserdata(L, 1));
    return 0;
}

/* json.null is a userdata of its own, so that it prints as "null" and equals nothing else. */
static void register_null(lua_State *L)
{
    lua_newuserdatauv(L, 1, 0);
    lua_createtable(L, 0, 2);
    lua_pushliteral(L, "json.null");
    lua_setfield(L, -2, "__name");
    lua_pushcfunction(L, null_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &null_key);
}

static void register_array(lua_State *L)
{
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "json.array");
    lua_setfield(L, -2, "__name");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &array_key);
}

static void register_scratch(lua_State *L)
{
    bytes_init(lua_newuserdatauv(L, sizeof(struct bytes), 0));
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, scratch_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &scratch_key);
}

static int bind_json(lua_State *L)
{
    register_null(L);
    register_array(L);
    register_scratch(L);

    lua_createtable(L, 0, 4);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &scratch_key);
    lua_pushcclosure(L, bind_encode, 1);
    lua_setfield(L, -2, "encode");
    lua_pushcfunction(L, bind_decode);
    lua_setfield(L, -2, "decode");
    lua_pushcfunction(L, bind_array);
    lua_setfield(L, -2, "array");
    json_push_null(L);
    lua_setfield(L, -2, "null");
    lua_setfield(L, -2, "json");
    return 0;
}

BINDING_PORTABLE(bind_json)
