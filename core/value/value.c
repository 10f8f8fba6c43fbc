/* Plain Lua data as bytes and back: see value.h. One tag byte, then the content in the machine's
 * own byte order: the bytes never leave the process. */
#include "value/value.h"

#include "value/json.h"

#include <assert.h>
#include <errno.h>
#include <lauxlib.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum tag {
    TAG_NIL,
    TAG_FALSE,
    TAG_TRUE,
    TAG_INTEGER,
    TAG_FLOAT,
    TAG_TEXT,
    TAG_TABLE,
    TAG_ARRAY,
    TAG_END
};

#define KEY_SIZE 40
#define WAY_MAX 20 /* no further step begins beyond it, so that the whole sentence has room */

/* Where we are, for the error: keys from the root. */
struct path {
    const struct path *parent;
    char key[KEY_SIZE];
};

/* The first steps of the way; a cycle has no end of it. */
static void path_format(const struct path *path, char *out, size_t size)
{
    if (path->parent)
        path_format(path->parent, out, size);
    size_t len = strlen(out);
    if (len < WAY_MAX)
        snprintf(out + len, size - len, path->parent ? ".%s" : "%s", path->key);
    else if (out[len - 1] != '.')
        snprintf(out + len, size - len, "...");
}

static int value_refuse(const struct path *path, const char *what, char error[VALUE_ERROR_SIZE])
{
    char where[WAY_MAX + KEY_SIZE + 5] = "";
    path_format(path, where, sizeof(where));
    bool has_name = where[0] && where[0] != '.';
    if (has_name)
        snprintf(error, VALUE_ERROR_SIZE, "%s: %s cannot be kept, only plain data can", where,
                 what);
    else if (where[0])
        snprintf(error, VALUE_ERROR_SIZE, "%s at %s cannot be kept: only plain data can", what,
                 where);
    else
        snprintf(error, VALUE_ERROR_SIZE, "%s cannot be kept: only plain data can", what);
    return -1;
}

static void put_tag(struct bytes *out, enum tag tag)
{
    char byte = (char)tag;
    bytes_append(out, &byte, 1);
}

void value_write_number(const struct value_number *value, struct bytes *out)
{
    put_tag(out, value->is_integer ? TAG_INTEGER : TAG_FLOAT);
    if (value->is_integer)
        bytes_append(out, &value->integer, sizeof(value->integer));
    else
        bytes_append(out, &value->number, sizeof(value->number));
}

static void put_number(lua_State *L, int index, struct bytes *out)
{
    struct value_number value = {.is_integer = lua_isinteger(L, index)};
    value.integer = value.is_integer ? lua_tointeger(L, index) : 0;
    value.number = lua_tonumber(L, index);
    value_write_number(&value, out);
}

static void append_text(const char *text, uint64_t len, struct bytes *out)
{
    put_tag(out, TAG_TEXT);
    bytes_append(out, &len, sizeof(len));
    bytes_append(out, text, len);
}

void value_write_text(const char *text, struct bytes *out)
{
    append_text(text, strlen(text), out);
}

static void value_put_text(lua_State *L, int index, struct bytes *out)
{
    size_t len;
    const char *text = lua_tolstring(L, index, &len);
    append_text(text, len, out);
}

static int value_put_value(lua_State *L, int index, struct bytes *out, const struct path *path,
                           int depth, char *error);

static void name_key(lua_State *L, int index, struct path *here)
{
    if (lua_type(L, index) == LUA_TSTRING)
        snprintf(here->key, sizeof(here->key), "%.36s", lua_tostring(L, index));
    else if (lua_isinteger(L, index))
        snprintf(here->key, sizeof(here->key), "%lld", (long long)lua_tointeger(L, index));
    else
        snprintf(here->key, sizeof(here->key), "(%s)", luaL_typename(L, index));
}

/* Pops a metatable: is it the one that json.array and json.decode give? That mark is kept. */
static bool is_array_mark(lua_State *L)
{
    json_push_array_metatable(L);
    bool is_mark = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is_mark;
}

static int put_table(lua_State *L, int index, struct bytes *out, const struct path *path, int depth,
                     char *error)
{
    if (depth == VALUE_MAX_DEPTH || !lua_checkstack(L, 4))
        return value_refuse(path, "a table that is too deep, or contains itself,", error);
    bool is_plain = !lua_getmetatable(L, index);
    if (!is_plain && !is_array_mark(L))
        return value_refuse(path, "a table with a metatable", error);
    put_tag(out, is_plain ? TAG_TABLE : TAG_ARRAY);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        struct path here = {.parent = path};
        int top = lua_gettop(L);
        name_key(L, top - 1, &here);
        if (value_put_value(L, top - 1, out, &here, depth + 1, error) < 0 ||
            value_put_value(L, top, out, &here, depth + 1, error) < 0) {
            lua_pop(L, 2);
            return -1;
        }
    }
    put_tag(out, TAG_END);
    return 0;
}

static int value_put_value(lua_State *L, int index, struct bytes *out, const struct path *path,
                           int depth, char *error)
{
    char what[40];
    switch (lua_type(L, index)) {
    case LUA_TNIL: put_tag(out, TAG_NIL); return 0;
    case LUA_TBOOLEAN: put_tag(out, lua_toboolean(L, index) ? TAG_TRUE : TAG_FALSE); return 0;
    case LUA_TNUMBER: put_number(L, index, out); return 0;
    case LUA_TSTRING: value_put_text(L, index, out); return 0;
    case LUA_TTABLE: return put_table(L, index, out, path, depth, error);
    default:
        snprintf(what, sizeof(what), "a %s", luaL_typename(L, index));
        return value_refuse(path, what, error);
    }
}

int value_write_named(lua_State *L, int index, const char *name, struct bytes *out,
                      char error[VALUE_ERROR_SIZE])
{
    struct path root = {.parent = NULL};
    snprintf(root.key, sizeof(root.key), "%s", name);
    size_t start = out->len;
    if (value_put_value(L, lua_absindex(L, index), out, &root, 0, error) == 0)
        return 0;
    out->len = start;
    return -1;
}

int value_write(lua_State *L, int index, struct bytes *out, char error[VALUE_ERROR_SIZE])
{
    return value_write_named(L, index, "", out, error);
}

/* ---- reading ---- */

struct reader {
    const char *at;
    const char *end;
};

static void value_take(struct reader *reader, void *out, size_t len)
{
    assert((size_t)(reader->end - reader->at) >= len);
    memcpy(out, reader->at, len);
    reader->at += len;
}

static enum tag take_tag(struct reader *reader)
{
    char byte;
    value_take(reader, &byte, 1);
    return (enum tag)byte;
}

static void push_tagged(lua_State *L, struct reader *reader, enum tag tag);

static void push_table(lua_State *L, struct reader *reader)
{
    luaL_checkstack(L, 4, "the data is too deep");
    lua_newtable(L);
    for (enum tag tag = take_tag(reader); tag != TAG_END; tag = take_tag(reader)) {
        push_tagged(L, reader, tag);
        push_tagged(L, reader, take_tag(reader));
        lua_rawset(L, -3);
    }
}

static void push_tagged(lua_State *L, struct reader *reader, enum tag tag)
{
    lua_Integer integer;
    lua_Number number;
    uint64_t len;
    switch (tag) {
    case TAG_FALSE:
    case TAG_TRUE: lua_pushboolean(L, tag == TAG_TRUE); break;
    case TAG_INTEGER:
        value_take(reader, &integer, sizeof(integer));
        lua_pushinteger(L, integer);
        break;
    case TAG_FLOAT:
        value_take(reader, &number, sizeof(number));
        lua_pushnumber(L, number);
        break;
    case TAG_TEXT:
        value_take(reader, &len, sizeof(len));
        lua_pushlstring(L, reader->at, len);
        reader->at += len;
        break;
    case TAG_TABLE: push_table(L, reader); break;
    case TAG_ARRAY:
        push_table(L, reader);
        json_push_array_metatable(L);
        lua_setmetatable(L, -2);
        break;
    case TAG_NIL:
    case TAG_END: lua_pushnil(L); break;
    }
}

const char *value_push_next(lua_State *L, const char *data, const char *end)
{
    struct reader reader = {data, end};
    push_tagged(L, &reader, take_tag(&reader));
    return reader.at;
}

void value_push(lua_State *L, const char *data, size_t len)
{
    value_push_next(L, data, data + len);
}

/* ---- comparing ---- */

/* Whether everything in the table `a` is in `b`; `count` gets how much that is. */
static bool is_within(lua_State *L, int a, int b, size_t *count)
{
    *count = 0;
    for (lua_pushnil(L); lua_next(L, a); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_rawget(L, b); /* stack: key, value of a, value of b */
        if (!value_equal(L, -2, -1)) {
            lua_pop(L, 3);
            return false;
        }
        lua_pop(L, 1);
        ++*count;
    }
    return true;
}

bool value_equal(lua_State *L, int a, int b)
{
    size_t count;
    size_t other = 0;
    if (lua_type(L, a) != LUA_TTABLE || lua_type(L, b) != LUA_TTABLE)
        return lua_rawequal(L, a, b);
    a = lua_absindex(L, a);
    b = lua_absindex(L, b);
    luaL_checkstack(L, 6, "the data is too deep");
    if (!is_within(L, a, b, &count))
        return false;
    for (lua_pushnil(L); lua_next(L, b); lua_pop(L, 1))
        other++;
    return count == other;
}

/* ---- numbers ---- */

int value_read_number(const char *data, size_t len, struct value_number *out)
{
    struct reader reader = {data, data + len};
    enum tag tag = len > 0 ? take_tag(&reader) : TAG_NIL;
    if (tag != TAG_INTEGER && tag != TAG_FLOAT)
        return -EINVAL;
    out->is_integer = tag == TAG_INTEGER;
    if (out->is_integer)
        value_take(&reader, &out->integer, sizeof(out->integer));
    else
        value_take(&reader, &out->number, sizeof(out->number));
    return 0;
}

void value_number_add(struct value_number *value, const struct value_number *by)
{
    if (value->is_integer && by->is_integer) { /* wraps around, as in Lua */
        value->integer = (lua_Integer)((lua_Unsigned)value->integer + (lua_Unsigned)by->integer);
        return;
    }
    value->number = (value->is_integer ? (lua_Number)value->integer : value->number) +
                    (by->is_integer ? (lua_Number)by->integer : by->number);
    value->is_integer = false;
}
