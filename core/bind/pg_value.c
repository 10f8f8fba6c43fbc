/* Parameters are sent as text with the type that the Lua value has; for texts the server decides.
 * Results become what their type says: integers, floats, booleans, JSON, bytes; all others stay
 * texts, as a numeric or a timestamp has no exact counterpart in Lua. */
#include "bind/pg_value.h"

#ifdef NEAP_HAS_PQ

#include "client/pg_client.h"
#include "client/pg_result.h"
#include "value/json.h"

#include <lauxlib.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARAMS_MAX 65535 /* the protocol's */

enum { AT_COUNT = 3, AT_VALUES, AT_TYPES, AT_KEPT };

/* ---- parameters ---- */

struct params {
    unsigned *types;
    const char **values;
    int *lengths;
    int *formats;
};

/* One block of memory that the collector owns, pushed. */
static struct params params_push(lua_State *L, size_t count)
{
    size_t each = sizeof(char *) + sizeof(unsigned) + 2 * sizeof(int);
    char *block = lua_newuserdatauv(L, count * each + 1, 0);
    memset(block, 0, count * each);
    struct params params = {.values = (const char **)(void *)block};
    params.types = (unsigned *)(void *)(block + count * sizeof(char *));
    params.lengths = (int *)(void *)(params.types + count);
    params.formats = params.lengths + count;
    return params;
}

/* The text of the number on top of the stack, in its place; and its type. */
static unsigned number_to_text(lua_State *L)
{
    char text[40];
    unsigned type = PG_FLOAT8;
    lua_Number number = lua_tonumber(L, -1);
    if (lua_isinteger(L, -1)) {
        lua_Integer integer = lua_tointeger(L, -1);
        type = integer >= INT32_MIN && integer <= INT32_MAX ? PG_INT4 : PG_INT8;
        snprintf(text, sizeof(text), LUA_INTEGER_FMT, integer);
    } else {
        snprintf(text, sizeof(text), isnan(number) ? "NaN" : "%.17g", number);
    }
    lua_pop(L, 1);
    lua_pushstring(L, text);
    return type;
}

/* "json" or "bytea", which Lua says of some texts. */
static unsigned text_type(lua_State *L, int i)
{
    lua_rawgeti(L, AT_TYPES, i);
    const char *type = lua_tostring(L, -1);
    lua_pop(L, 1);
    if (!type)
        return 0;
    return *type == 'j' ? PG_JSONB : PG_BYTEA;
}

/* The value on top becomes a text that is kept. False: it has a zero byte. */
static bool param_read(lua_State *L, struct params *params, int i)
{
    size_t len;
    int at = i - 1;
    switch (lua_type(L, -1)) {
    case LUA_TNIL: return true;
    case LUA_TBOOLEAN:
        params->types[at] = PG_BOOL;
        params->values[at] = lua_toboolean(L, -1) ? "t" : "f";
        return true;
    case LUA_TNUMBER: params->types[at] = number_to_text(L); break;
    case LUA_TSTRING: params->types[at] = text_type(L, i); break;
    default: luaL_error(L, "a parameter is a %s", luaL_typename(L, -1));
    }
    params->values[at] = lua_tolstring(L, -1, &len);
    lua_pushvalue(L, -1);
    lua_rawseti(L, AT_KEPT, i);
    params->formats[at] = params->types[at] == PG_BYTEA; /* binary */
    params->lengths[at] = (int)len;
    return params->formats[at] || memchr(params->values[at], '\0', len) == NULL;
}

bool pg_value_read_params(lua_State *L, struct pg_statement *statement)
{
    lua_Integer count = luaL_checkinteger(L, AT_COUNT);
    luaL_checktype(L, AT_VALUES, LUA_TTABLE);
    luaL_checktype(L, AT_TYPES, LUA_TTABLE);
    luaL_argcheck(L, count >= 0 && count <= PARAMS_MAX, AT_COUNT, "at most 65535 parameters");
    lua_settop(L, AT_TYPES);
    lua_createtable(L, (int)count, 0); /* AT_KEPT */
    struct params params = params_push(L, (size_t)count);
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, AT_VALUES, i);
        if (!param_read(L, &params, i))
            return false;
        lua_pop(L, 1);
    }
    statement->count = (int)count;
    statement->types = params.types;
    statement->values = params.values;
    statement->lengths = params.lengths;
    statement->formats = params.formats;
    return true;
}

/* ---- results ---- */

static void push_bytes(lua_State *L, const char *text)
{
    size_t len;
    unsigned char *bytes = pg_result_read_bytes(text, &len);
    if (!bytes)
        luaL_error(L, "not enough memory");
    /* Raises only when memory runs out: `bytes` is lost. */
    lua_pushlstring(L, (const char *)bytes, len);
    pg_result_free_bytes(bytes);
}

static void push_value(lua_State *L, unsigned type, const char *text, size_t len)
{
    switch (type) {
    case PG_BOOL: lua_pushboolean(L, *text == 't'); return;
    case PG_INT2:
    case PG_INT4:
    case PG_INT8:
    case PG_OID: lua_pushinteger(L, strtoll(text, NULL, 10)); return;
    case PG_FLOAT4:
    case PG_FLOAT8: lua_pushnumber(L, strtod(text, NULL)); return;
    case PG_JSON:
    case PG_JSONB:
        if (json_push_decoded(L, text, len) == 2) { /* nested too deep for us: as it is */
            lua_pop(L, 2);
            lua_pushlstring(L, text, len);
        }
        return;
    case PG_BYTEA: push_bytes(L, text); return;
    default: lua_pushlstring(L, text, len);
    }
}

void pg_value_push_rows(lua_State *L, int rows, const struct pg_result *result)
{
    int columns = pg_result_columns(result), count = pg_result_rows(result);
    lua_Integer at = (lua_Integer)lua_rawlen(L, rows);
    for (int row = 0; row < count; row++) {
        lua_createtable(L, 0, columns);
        for (int column = 0; column < columns; column++) {
            size_t len;
            const char *text = pg_result_value(result, row, column, &len);
            if (!text)
                continue; /* NULL is nil */
            lua_pushstring(L, pg_result_name(result, column));
            push_value(L, pg_result_type(result, column), text, len);
            lua_rawset(L, -3);
        }
        lua_rawseti(L, rows, ++at);
    }
}

static void set_field(lua_State *L, const char *name, const char *text)
{
    if (*text == '\0')
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

void pg_value_push_error(lua_State *L, const struct pg_result *result)
{
    lua_createtable(L, 0, 5);
    set_field(L, "code", pg_result_field(result, PG_FIELD_CODE));
    set_field(L, "message", pg_result_message(result));
    set_field(L, "detail", pg_result_field(result, PG_FIELD_DETAIL));
    set_field(L, "hint", pg_result_field(result, PG_FIELD_HINT));
    set_field(L, "constraint", pg_result_field(result, PG_FIELD_CONSTRAINT));
    luaL_setmetatable(L, PG_ERROR_TYPE);
}

void pg_value_push_end(lua_State *L, struct pg_result *result)
{
    lua_createtable(L, 0, 2);
    set_field(L, "tag", pg_result_tag(result));
    lua_pushinteger(L, strtoll(pg_result_affected(result), NULL, 10));
    lua_setfield(L, -2, "affected");
}

#endif
