/* The JSON reader: yyjson parses (without recursion, so any depth is safe there), then one walk
 * pushes Lua values. Integers that fit 64 bits stay integers, larger ones become floats; null is
 * json.null; arrays are marked as json.array, so that an empty one is written as [] again; of equal
 * keys the last one counts. */
#include "base/mem.h"
#include "value/json.h"
#include "value/json_write.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>

/* ---- yyjson's memory: ours, so that tests can make it fail ---- */

static void *alc_malloc(void *ctx, size_t size)
{
    (void)ctx;
    return mem_try_alloc(size);
}

static void *alc_realloc(void *ctx, void *ptr, size_t old_size, size_t size)
{
    (void)ctx;
    (void)old_size;
    return mem_try_realloc(ptr, size);
}

static void alc_free(void *ctx, void *ptr)
{
    (void)ctx;
    mem_free(ptr);
}

/* ---- pushing ---- */

struct reader {
    lua_State *L;
    int null; /* where in the stack: json.null */
    int array_marker;
};

/* A hint for lua_createtable, which takes an int. */
static int table_hint(size_t count)
{
    return count < INT_MAX ? (int)count : INT_MAX;
}

/* Pushes one value; false when it is nested too deep (what was pushed goes with the call). */
static bool push_value(const struct reader *reader, yyjson_val *value, int depth);

static bool push_array(const struct reader *reader, yyjson_val *array, int depth)
{
    lua_State *L = reader->L;
    size_t count, i;
    yyjson_val *item;
    lua_createtable(L, table_hint(yyjson_arr_size(array)), 0);
    yyjson_arr_foreach(array, i, count, item)
    {
        if (!push_value(reader, item, depth))
            return false;
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_pushvalue(L, reader->array_marker);
    lua_setmetatable(L, -2);
    return true;
}

static bool push_object(const struct reader *reader, yyjson_val *object, int depth)
{
    lua_State *L = reader->L;
    size_t count, i;
    yyjson_val *key, *value;
    lua_createtable(L, 0, table_hint(yyjson_obj_size(object)));
    yyjson_obj_foreach(object, i, count, key, value)
    {
        lua_pushlstring(L, yyjson_get_str(key), yyjson_get_len(key));
        if (!push_value(reader, value, depth))
            return false;
        lua_rawset(L, -3); /* stack: object, key, value */
    }
    return true;
}

static void push_number(lua_State *L, yyjson_val *value)
{
    if (yyjson_is_sint(value))
        lua_pushinteger(L, yyjson_get_sint(value));
    else if (yyjson_is_uint(value) && yyjson_get_uint(value) <= LUA_MAXINTEGER)
        lua_pushinteger(L, (lua_Integer)yyjson_get_uint(value));
    else
        lua_pushnumber(L, yyjson_get_num(value));
}

static bool push_value(const struct reader *reader, yyjson_val *value, int depth)
{
    lua_State *L = reader->L;
    switch (yyjson_get_type(value)) {
    case YYJSON_TYPE_STR:
        lua_pushlstring(L, yyjson_get_str(value), yyjson_get_len(value));
        return true;
    case YYJSON_TYPE_NUM: push_number(L, value); return true;
    case YYJSON_TYPE_BOOL: lua_pushboolean(L, yyjson_get_bool(value)); return true;
    case YYJSON_TYPE_NULL: lua_pushvalue(L, reader->null); return true;
    default: break;
    }
    if (depth >= JSON_MAX_DEPTH)
        return false;
    luaL_checkstack(L, 4, "json"); /* the table, a key, and what is below */
    return yyjson_is_arr(value) ? push_array(reader, value, depth + 1)
                                : push_object(reader, value, depth + 1);
}

/* (light userdata root) -> value, or nothing: too deep. May raise: protected by push_document. */
static int push_root(lua_State *L)
{
    yyjson_val *root = lua_touserdata(L, 1);
    json_push_null(L);
    json_push_array_metatable(L);
    struct reader reader = {.L = L, .null = 2, .array_marker = 3};
    return push_value(&reader, root, 0) ? 1 : 0;
}

/* ---- reading ---- */

static size_t line_of(const char *text, size_t offset)
{
    size_t line = 1;
    for (size_t i = 0; i < offset; i++)
        line += text[i] == '\n';
    return line;
}

static int json_read_push_error(lua_State *L, const char *what)
{
    lua_pushnil(L);
    lua_pushstring(L, what);
    return 2;
}

/* "unexpected character at byte 12 (line 1)"; bytes count from 1, as in string.sub. */
static int push_read_error(lua_State *L, const char *text, size_t len, const yyjson_read_err *err)
{
    if (err->code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return json_read_push_error(L, "not enough memory to read the JSON text");
    if (len == 0)
        return json_read_push_error(L, "the JSON text is empty");
    size_t offset = err->pos < len ? err->pos : len;
    lua_pushnil(L);
    lua_pushfstring(L, "%s at byte %I (line %I)", err->msg, (lua_Integer)offset + 1,
                    (lua_Integer)line_of(text, offset));
    return 2;
}

/* Frees the document whatever happens while its values are pushed. */
static int push_document(lua_State *L, yyjson_doc *doc)
{
    int before = lua_gettop(L);
    lua_pushcfunction(L, push_root);
    lua_pushlightuserdata(L, yyjson_doc_get_root(doc));
    int status = lua_pcall(L, 1, LUA_MULTRET, 0);
    yyjson_doc_free(doc);

    if (status != LUA_OK)
        return lua_error(L); /* out of memory */
    if (lua_gettop(L) == before)
        return json_read_push_error(L, "nested deeper than 128 levels");
    return 1;
}

int json_push_decoded(lua_State *L, const char *text, size_t len)
{
    static const yyjson_alc alc = {alc_malloc, alc_realloc, alc_free, NULL};
    yyjson_read_err err;
    luaL_checkstack(L, 4, "json");
    /* Without the in-situ flag yyjson does not write to the text, whatever its signature says. */
    yyjson_doc *doc =
        yyjson_read_opts((char *)(uintptr_t)text, len, YYJSON_READ_NOFLAG, &alc, &err);
    if (!doc)
        return push_read_error(L, text, len, &err);
    return push_document(L, doc);
}
