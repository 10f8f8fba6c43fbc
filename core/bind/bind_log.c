/* The log for Lua: core.log(level, text [, fields]). A line of log must never be what breaks a
 * program, so odd values are shown somehow instead of raising. All texts live on the Lua stack
 * until the line is written. */
#include "base/log.h"
#include "value/binding.h"
#include "value/json.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 32
#define FIELDS_AT 5 /* on the stack, behind the arguments */

/* (value) -> its text; runs __tostring, so it may raise */
static int value_tostring(lua_State *L)
{
    luaL_tolstring(L, 1, NULL);
    return 1;
}

/* Replaces the value at `index` by its text, whatever it takes. */
static void to_text(lua_State *L, int index)
{
    if (lua_type(L, index) == LUA_TSTRING)
        return;
    lua_pushcfunction(L, value_tostring);
    lua_pushvalue(L, index);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) { /* a __tostring that fails, or tries to park */
        lua_pop(L, 1);
        lua_pushfstring(L, "(%s whose __tostring fails)", luaL_typename(L, index));
    }
    lua_replace(L, index);
}

/* Errors and other objects say themselves how they read. */
static int has_tostring(lua_State *L, int index)
{
    if (luaL_getmetafield(L, index, "__tostring") == LUA_TNIL)
        return 0;
    lua_pop(L, 1);
    return 1;
}

/* Replaces the value at `index` by a text and tells whether that is JSON. */
static int to_field_text(lua_State *L, int index)
{
    int type = lua_type(L, index);
    int is_data = type == LUA_TNUMBER || type == LUA_TBOOLEAN ||
                  (type == LUA_TTABLE && !has_tostring(L, index));
    if (!is_data) {
        to_text(L, index);
        return 0;
    }
    int is_json = json_push_encoded(L, index);
    if (!is_json && type == LUA_TNUMBER) {
        lua_pop(L, 1); /* nan and inf: their own text says more than why JSON has none */
        to_text(L, index);
        return 0;
    }
    lua_replace(L, index); /* or why it cannot be encoded, which names the place */
    return is_json;
}

/* Pushes names and values of the table at `index`, at most FIELDS_MAX pairs, before anything is
 * converted: a __tostring might change the table. Returns the count. */
static int push_pairs(lua_State *L, int index)
{
    int count = 0;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        if (count++ == FIELDS_MAX) {
            lua_pop(L, 2);
            return FIELDS_MAX;
        }
        lua_pushvalue(L, -2); /* stack: ..., name, value, name: the copy goes on with the walk */
    }
    return count;
}

static int compare_fields(const void *a, const void *b)
{
    return strcmp(((const struct log_field *)a)->name, ((const struct log_field *)b)->name);
}

/* Turns the pairs that begin at stack index `first` into fields, sorted by name: lines are to be
 * compared by eye. */
static void make_fields(lua_State *L, int first, int count, struct log_field *fields)
{
    for (int i = 0; i < count; i++) {
        int name = first + 2 * i, value = name + 1;
        to_text(L, name);
        fields[i].raw = to_field_text(L, value);
        fields[i].name = lua_tostring(L, name);
        fields[i].text = lua_tolstring(L, value, &fields[i].len);
    }
    qsort(fields, (size_t)count, sizeof *fields, compare_fields);
}

static const char *const level_names[] = {"debug", "info", "warn", "error", NULL};

/* Without memory for them there are no fields: the failure that is told of may be just that. */
static int push_fields(lua_State *L, struct log_field *fields)
{
    int count = 1;
    if (lua_isnil(L, 3) || !lua_checkstack(L, FIELDS_MAX * 2 + 8))
        return 0;
    if (lua_type(L, 3) == LUA_TTABLE && !has_tostring(L, 3)) {
        count = push_pairs(L, 3);
    } else {
        lua_pushliteral(L, "value");
        lua_pushvalue(L, 3);
    }
    make_fields(L, FIELDS_AT, count, fields);
    return count;
}

/* core.log(level, text [, fields [, is_own]]); what is no table stands in a field `value`. is_own:
 * neap says it by itself, and not more often than is of use. */
static int log_log(lua_State *L)
{
    enum log_level level = (enum log_level)luaL_checkoption(L, 1, NULL, level_names);
    struct log_field fields[FIELDS_MAX];
    if (!log_wants(level))
        return 0;
    lua_settop(L, FIELDS_AT - 1);
    to_text(L, 2);
    int count = push_fields(L, fields);

    size_t len;
    const char *text = lua_tolstring(L, 2, &len);
    if (lua_toboolean(L, 4))
        log_own_line(level, text, len, fields, count);
    else
        log_line(level, text, len, fields, count);
    return 0;
}

/* core.log_wants(level) -> boolean: whether such lines are written, for fields that are costly to
 * gather */
static int log_log_wants(lua_State *L)
{
    enum log_level level = (enum log_level)luaL_checkoption(L, 1, NULL, level_names);

    lua_pushboolean(L, log_wants(level));
    return 1;
}

static int bind_log(lua_State *L)
{
    lua_pushcfunction(L, log_log);
    lua_setfield(L, -2, "log");
    lua_pushcfunction(L, log_log_wants);
    lua_setfield(L, -2, "log_wants");
    return 0;
}

BINDING_PORTABLE(bind_log)
