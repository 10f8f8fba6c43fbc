/* core.open_port: a port of its own at which this state's application answers, for neap.test. It
 * has an HTTP server beside the worker's, which never serves in `neap test`. */
#include "base/mem.h"
#include "http/session.h"
#include "net/listener.h"
#include "net/net.h"
#include "task/origin.h"
#include "task/vm.h"
#include "value/binding.h"
#include "web/handler.h"

#include <lauxlib.h>

#define PORT_TYPE "neap.port"
#define LOOK_MS 5 /* while closing: how often we look whether all have left */

struct port {
    struct http_server http;
    struct listener listener;
    struct vm *vm;
    slot_handle handle; /* 0: closing, freed when it is empty */
    bool is_listening;
    struct deadline look;
};

struct port_box {
    slot_handle handle;
};

/* ---- life ---- */

static void bind_port_on_look(struct deadline *deadline)
{
    struct port *port = container_of(deadline, struct port, look);
    if (port->is_listening || port->http.count > 0 || port->http.requests.count > 0) {
        loop_set_deadline(port->http.loop, &port->look, LOOK_MS);
        return;
    }
    http_server_deinit(&port->http);
    mem_free(port);
}

static void bind_port_on_accept(struct listener *listener, int fd)
{
    struct port *port = container_of(listener, struct port, listener);
    if (port->handle != 0)
        session_open(&port->http, fd, listener->is_unix);
    else
        net_close_fd(fd); /* what is left of the backlog */
}

static void bind_port_on_stopped(struct listener *listener)
{
    container_of(listener, struct port, listener)->is_listening = false;
}

/* The address gets its port. */
static int port_listen(struct port *port, struct address *addr)
{
    int fd;
    int err = address_parse(addr, "127.0.0.1:0");
    if (err == 0)
        err = listener_bind(addr, 1, &fd);
    if (err)
        return err;
    port->listener.on_accept = bind_port_on_accept;
    return listener_start(&port->listener, port->vm->loop, fd);
}

static int port_open(struct vm *vm, struct address *addr, slot_handle *handle)
{
    const struct http_events events = handler_events(false);
    struct port *port = mem_calloc(sizeof *port);
    port->vm = vm;
    int err = port_listen(port, addr);
    if (err) {
        mem_free(port);
        return err;
    }
    http_server_init(&port->http, vm->loop, vm->options.http_limits, &events, vm);
    deadline_init(&port->look, bind_port_on_look);
    port->is_listening = true;
    port->handle = *handle = slots_put(&vm->sockets, port);
    return 0;
}

static void port_close(struct port *port)
{
    slots_take(&port->vm->sockets, port->handle);
    port->handle = 0;
    listener_stop(&port->listener, bind_port_on_stopped);
    http_server_abort(&port->http);
    loop_set_deadline(port->http.loop, &port->look, LOOK_MS);
}

/* ---- what Lua sees ---- */

static struct port *port_find(lua_State *L)
{
    struct port_box *box = luaL_checkudata(L, 1, PORT_TYPE);
    return slots_get(&vm_of(L)->sockets, box->handle);
}

/* open_port() -> port, number | nil, error */
static int core_open_port(lua_State *L)
{
    struct address addr;
    struct port_box *box = lua_newuserdatauv(L, sizeof *box, 1);
    box->handle = 0;
    luaL_setmetatable(L, PORT_TYPE);
    origin_keep(L);

    int err = port_open(vm_of(L), &addr, &box->handle);

    if (err) {
        lua_pushnil(L);
        lua_pushstring(L, net_error(err));
        return 2;
    }
    lua_pushinteger(L, address_port(&addr));
    return 2;
}

static void on_empty(struct http_server *http)
{
    (void)http; /* who closes looks by itself */
}

/* p:drain(): nobody new; polls, event streams and WebSockets are told that it ends */
static int port_lua_drain(lua_State *L)
{
    struct port *port = port_find(L);
    if (port)
        http_server_drain(&port->http, on_empty);
    return 0;
}

/* p:connections() -> how many are open */
static int port_lua_connections(lua_State *L)
{
    struct port *port = port_find(L);
    lua_pushinteger(L, port ? (lua_Integer)port->http.count : 0);
    return 1;
}

static int port_lua_close(lua_State *L) /* p:close() */
{
    struct port *port = port_find(L);
    if (port)
        port_close(port);
    return 0;
}

static int port_gc(lua_State *L)
{
    struct port *port = port_find(L);
    if (!port)
        return 0;
    origin_log_leak(L, 1, "a client of neap.test");
    port_close(port);
    return 0;
}

static int bind_port(lua_State *L)
{
    static const luaL_Reg methods[] = {{"drain", port_lua_drain},
                                       {"connections", port_lua_connections},
                                       {"close", port_lua_close},
                                       {NULL, NULL}};
    luaL_newmetatable(L, PORT_TYPE);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, port_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_pushcfunction(L, core_open_port);
    lua_setfield(L, -2, "open_port");
    return 0;
}

BINDING(bind_port)
