/* Lua's values for SQLite and back: see sqlite_value.h. */
#ifdef NEAP_HAS_SQLITE
#include "bind/sqlite_value.h"

#include "client/sqlite_cell.h"
#include "value/json_write.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>

#define SLICE_CELLS 4096 /* made into Lua values in one go: about half a millisecond */

int sqlite_value_push_blob(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TSTRING);
    lua_settop(L, 1);
    lua_newuserdatauv(L, 0, 1);
    luaL_setmetatable(L, BLOB_TYPE);
    lua_insert(L, 1);
    lua_setiuservalue(L, 1, 1);
    return 1;
}

/* ---- parameters ---- */

static bool is_json_null(lua_State *L, int index)
{
    json_push_null(L);
    bool is_null = lua_rawequal(L, -1, index);
    lua_pop(L, 1);
    return is_null;
}

static void read_text(lua_State *L, int index, enum cell_type type, struct cell *cell)
{
    cell->type = type;
    cell->data = lua_tolstring(L, index, &cell->len);
}

/* The bytes stay Lua's: of the value itself, which is on the stack or in a table that is. */
static int read_userdata(lua_State *L, int index, struct cell *cell)
{
    if (is_json_null(L, index)) {
        cell->type = CELL_NULL;
    } else if (luaL_testudata(L, index, BLOB_TYPE)) {
        lua_getiuservalue(L, index, 1);
        read_text(L, -1, CELL_BLOB, cell);
        lua_pop(L, 1);
    } else {
        return -EINVAL;
    }
    return 0;
}

static int read_value(lua_State *L, int index, struct cell *cell)
{
    switch (lua_type(L, index)) {
    case LUA_TNIL: cell->type = CELL_NULL; return 0;
    case LUA_TBOOLEAN:
        *cell = (struct cell){CELL_INTEGER, .integer = lua_toboolean(L, index)};
        return 0;
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            *cell = (struct cell){CELL_INTEGER, .integer = lua_tointeger(L, index)};
        else
            *cell = (struct cell){CELL_FLOAT, .number = lua_tonumber(L, index)};
        return 0;
    case LUA_TSTRING: read_text(L, index, CELL_TEXT, cell); return 0;
    case LUA_TUSERDATA: return read_userdata(L, index, cell);
    default: return -EINVAL;
    }
}

/* `name` is what a message calls it: "1", "2", ... or ":name". */
static int sqlite_value_put_value(lua_State *L, int index, struct sqlite_call *call,
                                  const char *name)
{
    struct cell cell;
    if (read_value(L, index, &cell) == 0) {
        call->param_count++;
        if (sqlite_cell_write(&call->params, &cell) == 0)
            return 0;
        sqlite_call_fail(call, "misuse", "parameter %s is too large", name);
        return -1;
    }
    bool is_table = lua_istable(L, index);
    sqlite_call_fail(call, "misuse", "parameter %s: a %s cannot be stored%s", name,
                     luaL_typename(L, index), is_table ? "; store json.encode of it" : "");
    return -1;
}

static int read_named(lua_State *L, int index, struct sqlite_call *call)
{
    call->is_named = true;
    lua_pushnil(L);
    while (lua_next(L, index)) { /* stack: key, value */
        if (lua_type(L, -2) != LUA_TSTRING) {
            sqlite_call_fail(call, "misuse", "a table names its parameters: {id = 42}");
            return -1;
        }
        const char *name = lua_pushfstring(L, ":%s", lua_tostring(L, -2));
        struct cell cell = {CELL_TEXT, .len = strlen(name) + 1, .data = name};
        sqlite_cell_write(&call->params, &cell);
        if (sqlite_value_put_value(L, lua_gettop(L) - 1, call, name) < 0)
            return -1;
        lua_pop(L, 2);
    }
    return 0;
}

int sqlite_value_read_params(lua_State *L, int first, struct sqlite_call *call)
{
    int last = lua_gettop(L);
    luaL_checkstack(L, 8, "too many parameters");
    if (first == last && lua_istable(L, first))
        return read_named(L, first, call);
    for (int index = first; index <= last; index++) {
        char name[16];
        snprintf(name, sizeof(name), "%d", index - first + 1);
        if (sqlite_value_put_value(L, index, call, name) < 0)
            return -1;
    }
    return 0;
}

/* ---- rows ---- */

static void push_cell(lua_State *L, const struct cell *cell)
{
    switch (cell->type) {
    case CELL_NULL: lua_pushnil(L); break;
    case CELL_INTEGER: lua_pushinteger(L, cell->integer); break;
    case CELL_FLOAT: lua_pushnumber(L, cell->number); break;
    case CELL_TEXT:
    case CELL_BLOB: lua_pushlstring(L, cell->data, cell->len); break;
    }
}

static void push_names(lua_State *L, const struct sqlite_call *call)
{
    const char *at = call->names.data;
    for (int i = 0; i < call->columns; i++) {
        struct cell name;
        at = sqlite_cell_read(at, &name);
        push_cell(L, &name);
    }
}

/* The names begin at `names`. Returns the rest of the bytes. */
static const char *push_row(lua_State *L, int names, int columns, const char *at)
{
    lua_createtable(L, 0, columns);
    for (int i = 0; i < columns; i++) {
        struct cell cell;
        at = sqlite_cell_read(at, &cell);
        lua_pushvalue(L, names + i);
        push_cell(L, &cell);
        lua_rawset(L, -3);
    }
    return at;
}

void sqlite_value_push_rows(lua_State *L, int list, struct sqlite_call *call)
{
    int top = lua_gettop(L);
    int most = SLICE_CELLS / (call->columns > 0 ? call->columns : 1) + 1;
    int count = call->row_count < most ? call->row_count : most;
    lua_Integer last = (lua_Integer)lua_rawlen(L, list);
    const char *at = call->rows.data;

    luaL_checkstack(L, call->columns + 8, "too many columns");
    push_names(L, call);
    for (int i = 0; i < count; i++) {
        at = push_row(L, top + 1, call->columns, at);
        lua_rawseti(L, list, ++last);
    }
    lua_settop(L, top);
    if (count > 0)
        bytes_consume(&call->rows, (size_t)(at - call->rows.data));
    call->row_count -= count;
}
#endif
