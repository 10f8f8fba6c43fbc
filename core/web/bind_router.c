/* The router for Lua. Its {lua patterns} are matched in steps that are bounded (lua_matcher.h). The
 * few that have a %b or a back reference are matched by string.find on the main state, in a
 * protected call: an error (no memory) is no match and one line in the log. The main state also
 * serves while a coroutine runs, because that call begins and ends within ours. */
#include "web/bind_router.h"

#include "base/log.h"
#include "base/mem.h"
#include "http/method.h"
#include "http/router.h"
#include "value/binding.h"
#include "web/lua_matcher.h"
#include "web/lua_pattern.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ROUTER_TYPE "neap.router"

/* The userdata. registry[its address] = {[0] = string.find, "^pattern$", ...} */
struct router_object {
    struct router *router;
    lua_State *main;
    struct lua_matcher **matchers; /* of the router's patterns; NULL: by string.find */
    int count;                     /* of them */
    uint64_t complaints;           /* patterns that were logged as failing: bit (number % 64) */
};

/* One question to Lua. */
struct match {
    struct router_object *object;
    int pattern;
    const char *text;
    size_t len;
    bool matches;
};

/* Runs protected, with the match as its argument. */
static int match_run(lua_State *L)
{
    struct match *match = lua_touserdata(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, match->object);
    lua_rawgeti(L, -1, 0);
    lua_pushlstring(L, match->text, match->len);
    lua_rawgeti(L, -3, match->pattern + 1); /* stack: match, patterns, find, text, pattern */
    lua_call(L, 2, 1);
    match->matches = lua_toboolean(L, -1);
    return 0;
}

static void match_complain(struct match *match, const char *reason)
{
    uint64_t bit = UINT64_C(1) << (match->pattern % 64);
    if (match->object->complaints & bit)
        return; /* once is enough: a client could make us say it with each request */
    match->object->complaints |= bit;
    log_warn("router: pattern {%.100s} failed on a segment of %zu bytes, taken as no match: %s",
             router_pattern(match->object->router, match->pattern), match->len, reason);
}

/* router_match_fn */
static bool match_segment(void *arg, int pattern, const char *text, size_t len)
{
    struct match match = {.object = arg, .pattern = pattern, .text = text, .len = len};
    const struct lua_matcher *matcher = match.object->matchers[pattern];
    if (matcher)
        return lua_matcher_matches(matcher, text, len);
    lua_State *L = match.object->main;
    if (!lua_checkstack(L, 4)) {
        match_complain(&match, "no stack");
        return false;
    }
    lua_pushcfunction(L, match_run);
    lua_pushlightuserdata(L, &match);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK)
        return match.matches;
    const char *reason = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "unknown";
    match_complain(&match, reason);
    lua_pop(L, 1);
    return false;
}

static struct router_object *object_check(lua_State *L, int index)
{
    struct router_object *object = luaL_checkudata(L, index, ROUTER_TYPE);
    luaL_argcheck(L, object->router, index, "this router is closed");
    return object;
}

struct router *bind_router_check(lua_State *L, int index)
{
    return object_check(L, index)->router;
}

/* core.router() -> router */
static int router_make(lua_State *L)
{
    struct router_object *object = lua_newuserdatauv(L, sizeof *object, 0);
    *object = (struct router_object){0};
    luaL_setmetatable(L, ROUTER_TYPE);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    object->main = lua_tothread(L, -1);
    lua_pop(L, 1);

    lua_newtable(L);
    lua_pushvalue(L, lua_upvalueindex(1)); /* string.find */
    lua_rawseti(L, -2, 0);
    lua_rawsetp(L, LUA_REGISTRYINDEX, object);
    object->router = router_new(match_segment, lua_pattern_check, object);
    return 1;
}

static int router_gc(lua_State *L)
{
    struct router_object *object = luaL_checkudata(L, 1, ROUTER_TYPE);
    router_free(object->router);
    object->router = NULL;
    while (object->count > 0)
        lua_matcher_free(object->matchers[--object->count]);
    mem_free(object->matchers);
    object->matchers = NULL;
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, object);
    return 0;
}

/* Makes matchers for the patterns that are new. */
static void matchers_make(struct router_object *object)
{
    int count = router_patterns(object->router);
    if (count == object->count)
        return;
    object->matchers = mem_realloc(object->matchers, (size_t)count * sizeof(struct lua_matcher *));
    for (; object->count < count; object->count++) {
        const char *pattern = router_pattern(object->router, object->count);
        object->matchers[object->count] = lua_matcher_new(pattern, strlen(pattern));
    }
}

/* Gives string.find the patterns from number `first` on. */
static void patterns_anchor(lua_State *L, struct router_object *object, int first)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, object);
    for (int i = first; i < router_patterns(object->router); i++) {
        lua_pushfstring(L, "^%s$", router_pattern(object->router, i));
        lua_rawseti(L, -2, i + 1);
    }
    lua_pop(L, 1);
}

/* router:add(method, pattern, id, where) -> true | nil, sentence */
static int router_add_route(lua_State *L)
{
    char error[1024];
    struct router_object *object = object_check(L, 1);
    const char *method = luaL_checkstring(L, 2);
    size_t len;
    const char *pattern = luaL_checklstring(L, 3, &len);
    lua_Integer id = luaL_checkinteger(L, 4);
    const char *where = luaL_checkstring(L, 5);
    luaL_argcheck(L, strlen(pattern) == len, 3, "has a NUL byte");
    luaL_argcheck(L, id >= 0 && id <= INT_MAX, 4, "out of range");
    int first = router_patterns(object->router);

    int err = router_add(object->router, method, pattern, (int)id, where, error, sizeof error);

    if (err) {
        lua_pushnil(L);
        lua_pushstring(L, error);
        return 2;
    }
    matchers_make(object);
    patterns_anchor(L, object, first);
    lua_pushboolean(L, true);
    return 1;
}

static int push_params(lua_State *L, const struct router_result *result)
{
    lua_pushinteger(L, result->route);
    lua_createtable(L, 0, result->count);
    for (int i = 0; i < result->count; i++) {
        lua_pushlstring(L, result->params[i].value, result->params[i].len);
        lua_setfield(L, -2, result->params[i].name);
    }
    return 2;
}

static int push_allow(lua_State *L, uint32_t allow)
{
    char buf[METHOD_LIST_SIZE];
    lua_pushnil(L);
    if (allow == 0)
        return 1;
    lua_pushlstring(L, buf, method_list(allow, buf, sizeof buf));
    return 2;
}

/* router:find(method, path) -> id, params | nil, allow ("GET, HEAD, OPTIONS", or nil: no such
 * path). */
static int router_find_route(lua_State *L)
{
    size_t method_len;
    size_t len;
    struct router *router = bind_router_check(L, 1);
    const char *method = luaL_checklstring(L, 2, &method_len);
    const char *path = luaL_checklstring(L, 3, &len);

    struct router_result result;
    router_find(router, method, method_len, path, len, &result);

    return result.route >= 0 ? push_params(L, &result) : push_allow(L, result.allow);
}

static int bind_router(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"add", router_add_route},
        {"find", router_find_route},
        {NULL, NULL},
    };
    if (luaL_newmetatable(L, ROUTER_TYPE)) {
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, router_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);

    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, "string");
    lua_getfield(L, -1, "find"); /* stack: core, loaded, string, find */
    lua_pushcclosure(L, router_make, 1);
    lua_setfield(L, -4, "router");
    lua_pop(L, 2);
    return 0;
}

BINDING(bind_router)
