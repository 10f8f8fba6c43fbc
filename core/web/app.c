/* The application that serves in this Lua state: see app.h. */
#include "web/app.h"

#include "base/mem.h"
#include "http/guest.h"
#include "http/http_server.h"
#include "task/vm.h"
#include "value/binding.h"
#include "value/units.h"
#include "web/bind_router.h"

#include <lauxlib.h>
#include <string.h>

#define ROUTES_MAX 65535 /* a guest keeps the number in 16 bits */

void app_free(struct app *app)
{
    if (!app)
        return;
    mem_free(app->routes);
    mem_free(app);
}

static bool is_websocket(const struct route *route)
{
    return route->ws_ref != LUA_NOREF;
}

int app_find_route(const struct app *app, const struct route *other)
{
    for (int i = 1; i <= app->count; i++)
        if (is_websocket(&app->routes[i]) == is_websocket(other) &&
            strcmp(app->routes[i].name, other->name) == 0)
            return i;
    return 0;
}

/* A reference to field `name` of the table on top, which must be a function; LUA_NOREF when it is
 * nil. */
static int field_ref(lua_State *L, const char *name)
{
    int type = lua_getfield(L, -1, name);
    if (type == LUA_TNIL) {
        lua_pop(L, 1);
        return LUA_NOREF;
    }
    if (type != LUA_TFUNCTION)
        luaL_error(L, "serve: %s is not a function", name);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static enum on_disconnect field_on_disconnect(lua_State *L)
{
    static const char *const words[] = {"default", "cancel", "continue", NULL};
    lua_getfield(L, -1, "on_disconnect");
    enum on_disconnect choice = (enum on_disconnect)luaL_checkoption(L, -1, "default", words);
    lua_pop(L, 1);
    return choice;
}

/* What app:ws said. */
static void ws_read(lua_State *L, struct route *route)
{
    route->ws_ref = LUA_NOREF;
    if (lua_getfield(L, -1, "ws") != LUA_TTABLE) {
        lua_pop(L, 1);
        return;
    }
    route->ws_has_callbacks = lua_getfield(L, -1, "handler") == LUA_TNIL;
    lua_pop(L, 1);
    route->ws_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Reads the route's table, which is on top. */
static void route_read(lua_State *L, struct route *route)
{
    route->handler_ref = field_ref(L, "handler");
    ws_read(L, route);
    lua_getfield(L, -1, "name");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_getfield(L, -1, "pattern");
    }
    route->name = lua_isstring(L, -1) ? lua_tostring(L, -1) : "request";
    route->name_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_getfield(L, -1, "body_limit");
    route->body_limit = lua_isnil(L, -1) ? 0 : units_check_size(L, -1);
    lua_pop(L, 1);
    lua_getfield(L, -1, "timeout");
    route->timeout_ms = lua_isnil(L, -1) ? 0 : (uint32_t)units_check_duration(L, -1);
    lua_pop(L, 1);
    route->on_disconnect = field_on_disconnect(L);
}

static void routes_read(lua_State *L, struct app *app)
{
    lua_getfield(L, 1, "routes");
    luaL_checktype(L, -1, LUA_TTABLE);
    app->count = (int)lua_rawlen(L, -1);
    if (app->count > ROUTES_MAX)
        luaL_error(L, "an application has at most %d routes", ROUTES_MAX);
    app->routes = mem_calloc(sizeof(struct route) * ((size_t)app->count + 1));
    for (int i = 1; i <= app->count; i++) {
        lua_rawgeti(L, -1, i);
        route_read(L, &app->routes[i]);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

bool app_renumber_guest(struct guest *guest, const struct vm *from)
{
    const struct vm *to = guest_server(guest)->owner;
    if (to == from)
        return false;
    guest->route = (uint16_t)app_find_route(to->app, &from->app->routes[guest->route]);
    return true;
}

/* core.serve{router=, routes=, fallback=, on_error=, on_send=, handoff=, adopt=, from=}: this state
 * answers requests with them. */
static int core_serve(lua_State *L)
{
    struct vm *vm = vm_of(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    app_free(vm->app);
    vm->app = mem_calloc(sizeof(struct app)); /* the vm's from here on: errors below leak nothing */
    struct app *app = vm->app;

    lua_getfield(L, 1, "router");
    app->router = bind_router_check(L, -1);
    app->router_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    routes_read(L, app);
    app->routes[0].handler_ref = field_ref(L, "fallback");
    app->routes[0].ws_ref = LUA_NOREF;
    app->routes[0].name = "fallback";
    app->on_error_ref = field_ref(L, "on_error");
    app->on_send_ref = field_ref(L, "on_send");
    app->handoff_ref = field_ref(L, "handoff");
    app->adopt_ref = field_ref(L, "adopt");
    app->from_ref = field_ref(L, "from");
    return 0;
}

static int bind_serve(lua_State *L)
{
    lua_pushcfunction(L, core_serve);
    lua_setfield(L, -2, "serve");
    return 0;
}

BINDING(bind_serve)
