/* config.lua in, core.config out. The file runs with the standard library, because it is the
 * operator's own and often asks os.getenv for secrets; its state is gone before a worker sees the
 * values. */
#include "config/settings.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>
#include <time.h>

#define RUN_MAX_S 5           /* for the file to run */
#define COUNT_INTERVAL 100000 /* instructions of Lua between two looks at the clock */

struct reading {
    const char *file;
    const struct settings_reader *reader;
    struct bytes *error;
    const char *block;
    time_t until_s;
    int result; /* -1 once a callback has refused */
};

static time_t now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* A file that does not come to its end would hold up the main thread for ever. */
static void on_count(lua_State *L, lua_Debug *debug)
{
    const struct reading *reading = *(struct reading **)lua_getextraspace(L);
    (void)debug;
    if (now_s() > reading->until_s)
        luaL_error(L, "%s has run for %d s without an end", reading->file, RUN_MAX_S);
}

/* Gives the value on top to the reader. */
static int give_value(lua_State *L, struct reading *reading, const char *key, int index)
{
    if (!lua_isboolean(L, -1) && !lua_isstring(L, -1))
        return luaL_error(L, "%s: %s cannot be a %s", reading->file, key, luaL_typename(L, -1));
    struct settings_value value = {
        .block = reading->block, .key = key, .index = index, .text = luaL_tolstring(L, -1, NULL)};
    reading->result = reading->reader->on_value(reading->reader->arg, &value, reading->error);
    lua_pop(L, 1);
    return reading->result;
}

static int give_list(lua_State *L, struct reading *reading, const char *key)
{
    lua_Integer len = luaL_len(L, -1);
    for (lua_Integer i = 1; i <= len && reading->result == 0; i++) {
        lua_geti(L, -1, i);
        give_value(L, reading, key, (int)i);
        lua_pop(L, 1);
    }
    return reading->result;
}

static const char *full_key(lua_State *L, struct reading *reading, const char *prefix)
{
    /* stack: table, key, value */
    if (lua_type(L, -2) != LUA_TSTRING)
        luaL_error(L, "%s: the names of settings are strings, found a %s in block %s",
                   reading->file, luaL_typename(L, -2), reading->block);
    return lua_pushfstring(L, "%s%s", prefix, lua_tostring(L, -2));
}

/* Walks the table on top. */
static int walk(lua_State *L, struct reading *reading, const char *prefix)
{
    luaL_checkstack(L, 8, "settings are nested too deep");
    lua_pushnil(L);
    while (reading->result == 0 && lua_next(L, -2)) {
        const char *key = full_key(L, reading, prefix);
        lua_insert(L, -2); /* stack: table, key, full key, value */
        if (strcmp(key, "app") == 0)
            ; /* free for the app */
        else if (!lua_istable(L, -1))
            give_value(L, reading, key, 0);
        else if (lua_rawlen(L, -1) > 0)
            give_list(L, reading, key);
        else {
            const char *deeper = lua_pushfstring(L, "%s.", key);
            lua_insert(L, -2);
            walk(L, reading, deeper);
            lua_remove(L, -2);
        }
        lua_pop(L, 2);
    }
    return reading->result;
}

static bool is_wanted(const struct settings_reader *reader, const char *name)
{
    for (const char *const *block = reader->blocks; *block; block++)
        if (strcmp(*block, name) == 0)
            return true;
    return false;
}

static void check_others(lua_State *L, struct reading *reading)
{
    const struct settings_reader *reader = reading->reader;
    lua_pushnil(L);
    while (reading->result == 0 && lua_next(L, -2)) {
        bool is_table = lua_istable(L, -1);
        lua_pop(L, 1);
        const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "[1]";
        if (!is_table || !is_wanted(reader, name))
            reading->result = reader->on_other(reader->arg, name, is_table, reading->error);
    }
}

/* The protected part: light userdata reading -> nothing. */
static int read_file(lua_State *L)
{
    struct reading *reading = lua_touserdata(L, 1);
    luaL_openlibs(L);
    if (luaL_loadfilex(L, reading->file, "t") != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 1);
    if (!lua_istable(L, -1))
        return luaL_error(L, "%s must return a table: return { default = { workers = 2 } }",
                          reading->file);
    check_others(L, reading);
    for (const char *const *block = reading->reader->blocks; *block && reading->result == 0;
         block++) {
        reading->block = *block;
        if (lua_getfield(L, -1, *block) == LUA_TTABLE)
            walk(L, reading, "");
        lua_pop(L, 1);
    }
    return 0;
}

int settings_read(const char *file, const struct settings_reader *reader, struct bytes *error)
{
    struct reading reading = {
        .file = file, .reader = reader, .error = error, .until_s = now_s() + RUN_MAX_S};
    lua_State *L = luaL_newstate();
    if (!L) {
        bytes_append_text(error, "out of memory");
        return -1;
    }
    *(struct reading **)lua_getextraspace(L) = &reading;
    lua_sethook(L, on_count, LUA_MASKCOUNT, COUNT_INTERVAL);
    lua_pushcfunction(L, read_file);
    lua_pushlightuserdata(L, &reading);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        const char *text = lua_tostring(L, -1);
        bytes_printf(error, "%s", text ? text : "config.lua raised an error that is not a string");
        reading.result = -1;
    }
    lua_close(L);
    return reading.result;
}

static void push_setting(lua_State *L, const struct setting *setting)
{
    switch (setting->type) {
    case SETTING_INTEGER: lua_pushinteger(L, (lua_Integer)setting->number); break;
    case SETTING_SECONDS: lua_pushnumber(L, (lua_Number)setting->number / 1000); break;
    case SETTING_BOOL: lua_pushboolean(L, setting->number != 0); break;
    case SETTING_TEXT: lua_pushstring(L, setting->text); break;
    case SETTING_LIST:
        lua_createtable(L, (int)setting->count, 0);
        for (size_t i = 0; i < setting->count; i++) {
            lua_pushstring(L, setting->items[i]);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        break;
    }
}

void settings_push(lua_State *L, const struct setting *settings, size_t count)
{
    lua_newtable(L);
    for (size_t i = 0; i < count; i++) {
        const char *name = settings[i].key;
        const char *dot;
        lua_pushvalue(L, -1);
        for (; (dot = strchr(name, '.')); name = dot + 1) {
            const char *part = lua_pushlstring(L, name, (size_t)(dot - name));
            luaL_getsubtable(L, -2, part);
            lua_replace(L, -3); /* stack: root, inner table, part */
            lua_pop(L, 1);
        }
        push_setting(L, &settings[i]);
        lua_setfield(L, -2, name);
        lua_pop(L, 1);
    }
}
