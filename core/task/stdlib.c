/* Changes to the standard library of a vm. Scripts are trusted: this keeps accidents small, it is
 * no sandbox. io stays as it is, and blocks. */
#include "task/stdlib.h"

#include <lauxlib.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

/* With the arguments as they are; it is upvalue 1. */
static int call_original(lua_State *L)
{
    int args = lua_gettop(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, args, LUA_MULTRET);
    return lua_gettop(L);
}

/* ---- source text only: bytecode can break the interpreter ---- */

/* Calls the original, upvalue 1, with "t" as the mode, which is argument number `at`. */
static int load_text(lua_State *L, int at)
{
    const char *mode = luaL_optstring(L, at, "t");
    if (strchr(mode, 't') == NULL) {
        luaL_pushfail(L);
        lua_pushliteral(L, "binary chunks are not available: load source text");
        return 2;
    }
    if (lua_gettop(L) < at)
        lua_settop(L, at); /* not more: an environment of nil is not the same as none */
    lua_pushliteral(L, "t");
    lua_replace(L, at);
    return call_original(L);
}

static int text_load(lua_State *L) /* load(chunk [, name [, mode [, env]]]) */
{
    return load_text(L, 3);
}

static int text_loadfile(lua_State *L) /* loadfile([name [, mode [, env]]]) */
{
    return load_text(L, 2);
}

static int dofile_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    (void)ctx;
    return lua_gettop(L) - 1;
}

static int text_dofile(lua_State *L)
{
    const char *name = luaL_optstring(L, 1, NULL);
    lua_settop(L, 1);
    if (luaL_loadfilex(L, name, "t") != LUA_OK)
        return lua_error(L);
    lua_callk(L, 0, LUA_MULTRET, 0, dofile_done);
    return dofile_done(L, LUA_OK, 0);
}

/* ---- refusals that say what to do ---- */

/* A function that raises the text in upvalue 1. */
static int refused(lua_State *L)
{
    return luaL_error(L, "%s", lua_tostring(L, lua_upvalueindex(1)));
}

static void stdlib_refuse(lua_State *L, const char *field, const char *why)
{
    lua_pushstring(L, why);
    lua_pushcclosure(L, refused, 1);
    lua_setfield(L, -2, field);
}

static void remove_field(lua_State *L, const char *field)
{
    lua_pushnil(L);
    lua_setfield(L, -2, field);
}

/* The field of the table on top becomes `fn`, with the original as its upvalue. */
static void wrap(lua_State *L, const char *field, lua_CFunction fn)
{
    lua_getfield(L, -1, field);
    lua_pushcclosure(L, fn, 1);
    lua_setfield(L, -2, field);
}

static int own_collectgarbage(lua_State *L)
{
    const char *what = luaL_optstring(L, 1, "collect");
    if (strcmp(what, "stop") == 0)
        return luaL_error(L, "collectgarbage(\"stop\") is not available: all requests share this "
                             "memory");
    return call_original(L);
}

static int own_setmetatable(lua_State *L)
{
    int type = lua_type(L, 1);
    if (type != LUA_TTABLE && type != LUA_TUSERDATA)
        return luaL_error(L,
                          "debug.setmetatable is not available for %ss: it would change every %s "
                          "of the server",
                          luaL_typename(L, 1), luaL_typename(L, 1));
    return call_original(L);
}

static int own_rep(lua_State *L)
{
    size_t len, sep;
    luaL_checklstring(L, 1, &len);
    lua_Integer count = luaL_checkinteger(L, 2);
    luaL_optlstring(L, 3, "", &sep);
    if (len + sep == 0) { /* Lua's own would loop `count` times, for ever maybe */
        lua_pushliteral(L, "");
        return 1;
    }
    if (count > 0 && (lua_Unsigned)count > STDLIB_MAX_REP / (len + sep))
        return luaL_error(L, "resulting string too large (string.rep makes at most %d MiB)",
                          (int)(STDLIB_MAX_REP / (1024 * 1024)));
    return call_original(L);
}

/* ---- one call of C cannot be stopped: what the number of elements makes long has a limit ---- */

/* Runs the original, upvalue 1, in our place: it is C, has no upvalues, and finds our arguments. */
static int become_original(lua_State *L)
{
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static int refuse_count(lua_State *L, const char *name)
{
    return luaL_error(L, "%s: more than %d elements", name, STDLIB_MAX_MOVE);
}

static int own_move(lua_State *L) /* move(a1, f, e, t [, a2]) */
{
    lua_Integer from = luaL_checkinteger(L, 2);
    lua_Integer to = luaL_checkinteger(L, 3);
    if (to >= from && (lua_Unsigned)to - (lua_Unsigned)from >= STDLIB_MAX_MOVE)
        return refuse_count(L, "table.move");
    return become_original(L);
}

/* A table holds as many elements as there is memory for; a __len may say anything. Upvalue 2: the
 * name. */
static int own_counting(lua_State *L)
{
    if (luaL_getmetafield(L, 1, "__len") != LUA_TNIL) {
        lua_pop(L, 1);
        if (luaL_len(L, 1) > STDLIB_MAX_MOVE)
            return refuse_count(L, lua_tostring(L, lua_upvalueindex(2)));
    }
    return become_original(L);
}

/* ---- library by library ---- */

static void clean_base(lua_State *L)
{
    lua_pushglobaltable(L);
    wrap(L, "load", text_load);
    wrap(L, "loadfile", text_loadfile);
    lua_pushcfunction(L, text_dofile);
    lua_setfield(L, -2, "dofile");
    wrap(L, "collectgarbage", own_collectgarbage);
    lua_pop(L, 1);
}

static void clean_string(lua_State *L)
{
    lua_getglobal(L, "string");
    remove_field(L, "dump");
    wrap(L, "rep", own_rep);
    lua_pop(L, 1);

    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    /* A string, so that indexing what getmetatable gives stays harmless. */
    lua_pushliteral(L, "string");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
}

static void clean_table(lua_State *L)
{
    static const char *const counting[] = {"insert", "remove", "sort"};
    lua_getglobal(L, "table");
    wrap(L, "move", own_move);
    for (size_t i = 0; i < sizeof(counting) / sizeof(*counting); i++) {
        lua_getfield(L, -1, counting[i]);
        lua_pushfstring(L, "table.%s", counting[i]);
        lua_pushcclosure(L, own_counting, 2);
        lua_setfield(L, -2, counting[i]);
    }
    lua_pop(L, 1);
}

static void clean_os(lua_State *L)
{
    lua_getglobal(L, "os");
    stdlib_refuse(L, "exit", "os.exit is not available: return an exit code or stop the server");
    remove_field(L, "setlocale"); /* would change how numbers are written, in every worker */
    lua_pop(L, 1);
}

static void clean_debug(lua_State *L)
{
    lua_getglobal(L, "debug");
    stdlib_refuse(L, "sethook", "debug.sethook is not available: the watchdog uses the hook");
    remove_field(L, "getregistry");
    wrap(L, "setmetatable", own_setmetatable);
    lua_pop(L, 1);
}

/* 5.4 seeds from the time and addresses. */
static void seed_random(lua_State *L)
{
    lua_Integer seed[2];
    if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        return; /* keeps Lua's own */
    lua_getglobal(L, "math");
    lua_getfield(L, -1, "randomseed");
    lua_pushinteger(L, seed[0]);
    lua_pushinteger(L, seed[1]);
    lua_call(L, 2, 0);
    lua_pop(L, 1);
}

static void extend_path(lua_State *L, const char *lua_dir)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "path");
    lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;%s", lua_dir, lua_dir, lua_tostring(L, -1));
    lua_setfield(L, -3, "path");
    lua_pop(L, 2);
}

void stdlib_clean(lua_State *L, const char *lua_dir)
{
    clean_base(L);
    clean_string(L);
    clean_table(L);
    clean_os(L);
    clean_debug(L);
    seed_random(L);
    if (lua_dir != NULL)
        extend_path(L, lua_dir);
}
