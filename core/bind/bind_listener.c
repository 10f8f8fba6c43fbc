/* A listener of `neap.net`: accepts connections for the tasks that ask, in their order. What comes
 * while nobody asks waits here, and in the kernel's backlog when that is too much. */
#include "base/mem.h"
#include "bind/socket.h"
#include "net/listener.h"
#include "net/net.h"
#include "task/origin.h"
#include "task/task.h"
#include "task/vm.h"
#include "value/binding.h"
#include "value/units.h"

#include <lauxlib.h>
#include <string.h>

#define LISTENER_TYPE "neap.listener"
#define WAITING_MAX 64 /* accepted for nobody: then the others stay in the backlog */

struct net_listener {
    struct listener listener;
    struct vm *vm;
    slot_handle handle;
    struct address addr;
    struct list acceptors; /* waits */
    struct list waiting;   /* sockets that nobody has asked for yet */
    struct list promised;  /* ... and those of woken acceptors, until these run */
    int waiting_count;
};

struct listener_box {
    slot_handle handle;
    int port;
};

/* ---- life ---- */

static void bind_listener_on_accept(struct listener *listener, int fd)
{
    struct net_listener *self = container_of(listener, struct net_listener, listener);
    struct socket *socket;
    if (self->handle == 0) {
        net_close_fd(fd); /* closed: what is left of the backlog */
        return;
    }
    if (socket_open(&socket, self->vm, fd, listener->is_unix) != 0)
        return;
    struct list *first = list_shift(&self->acceptors);
    if (first) {
        list_push(&self->promised, &socket->accepted_link);
        task_wake_wait(container_of(first, struct wait, link), (intptr_t)socket->handle);
        return;
    }
    list_push(&self->waiting, &socket->accepted_link);
    if (++self->waiting_count >= WAITING_MAX)
        listener_hold(listener);
}

static int listen_on(struct vm *vm, const char *text, slot_handle *handle)
{
    struct net_listener *self = mem_calloc(sizeof(*self));
    int fd;
    self->vm = vm;
    self->listener.on_accept = bind_listener_on_accept;
    list_init(&self->acceptors);
    list_init(&self->waiting);
    list_init(&self->promised);
    int err = address_parse(&self->addr, text);
    if (err == 0)
        err = listener_bind(&self->addr, 1, &fd);
    if (err == 0)
        err = listener_start(&self->listener, vm->loop, fd);
    if (err) {
        mem_free(self);
        return err;
    }
    self->handle = slots_put(&vm->sockets, self);
    *handle = self->handle;
    return 0;
}

static void close_all(struct list *sockets)
{
    struct list *link;
    while ((link = list_shift(sockets)) != NULL)
        socket_forget(container_of(link, struct socket, accepted_link), conn_close);
}

static void bind_listener_on_stopped(struct listener *listener)
{
    mem_free(container_of(listener, struct net_listener, listener));
}

/* Acceptors are woken without a socket. */
static void listener_end(struct net_listener *self)
{
    struct list *link;
    slots_take(&self->vm->sockets, self->handle);
    self->handle = 0;
    while ((link = list_shift(&self->acceptors)) != NULL)
        task_wake_wait(container_of(link, struct wait, link), 0);
    close_all(&self->waiting);
    close_all(&self->promised);
    listener_unlink(&self->addr);
    listener_stop(&self->listener, bind_listener_on_stopped);
}

/* ---- what Lua sees ---- */

static struct net_listener *listener_find(lua_State *L)
{
    struct listener_box *box = luaL_checkudata(L, 1, LISTENER_TYPE);
    return slots_get(&vm_of(L)->sockets, box->handle);
}

/* listen("HOST:PORT" | "unix:PATH") -> listener | nil, error */
static int net_listen(lua_State *L)
{
    const char *text = luaL_checkstring(L, 1);
    struct listener_box *box = lua_newuserdatauv(L, sizeof(*box), 1);
    box->handle = 0;
    luaL_setmetatable(L, LISTENER_TYPE);
    origin_keep(L);

    int err = listen_on(vm_of(L), text, &box->handle);
    if (err)
        return socket_push_error(L, net_error(err));
    struct net_listener *self = slots_get(&vm_of(L)->sockets, box->handle);
    box->port = address_port(&self->addr);
    return 1;
}

/* Gives the socket to its new owner: the userdata on top of the stack. */
static int push_accepted(lua_State *L, struct socket *socket)
{
    struct socket_box *box = lua_touserdata(L, -1);
    list_remove(&socket->accepted_link);
    box->handle = socket->handle;
    socket_start(socket);
    return 1;
}

static int accept_finish(lua_State *L, struct wait *wait)
{
    if (wait->outcome == WAIT_TIMEOUT)
        return socket_push_error(L, net_error(UV_ETIMEDOUT));
    struct socket *socket = slots_get(&vm_of(L)->sockets, (slot_handle)wait->result);
    return socket ? push_accepted(L, socket) : socket_push_error(L, "closed");
}

/* l:accept([timeout]) -> socket | nil, "timeout" | nil, "closed" */
static int listener_accept(lua_State *L)
{
    struct net_listener *self = listener_find(L);
    uint64_t timeout_ms = lua_isnoneornil(L, 2) ? WAIT_FOREVER : units_check_duration(L, 2);
    if (!self)
        return socket_push_error(L, "closed");
    socket_box_push(L);
    if (!list_is_empty(&self->waiting)) {
        struct list *first = self->waiting.next;
        self->waiting_count--;
        listener_resume(&self->listener);
        return push_accepted(L, container_of(first, struct socket, accepted_link));
    }
    struct wait *wait = task_wait(L);
    wait->finish = accept_finish;
    list_push(&self->acceptors, &wait->link);
    return task_park(L, timeout_ms);
}

/* l:close() */
static int listener_close(lua_State *L)
{
    struct net_listener *self = listener_find(L);
    if (self)
        listener_end(self);
    return 0;
}

static int listener_gc(lua_State *L)
{
    struct net_listener *self = listener_find(L);
    if (!self)
        return 0;
    origin_log_leak(L, 1, "a listener");
    listener_end(self);
    return 0;
}

/* l.port, and the methods in upvalue 1 */
static int listener_index(lua_State *L)
{
    struct listener_box *box = luaL_checkudata(L, 1, LISTENER_TYPE);
    if (strcmp(luaL_checkstring(L, 2), "port") == 0) {
        lua_pushinteger(L, box->port);
        return 1;
    }
    lua_gettable(L, lua_upvalueindex(1));
    return 1;
}

static int bind_listener(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"accept", listener_accept}, {"close", listener_close}, {NULL, NULL}};
    luaL_newmetatable(L, LISTENER_TYPE);
    lua_pushcfunction(L, listener_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, listener_close);
    lua_setfield(L, -2, "__close");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    luaL_newlib(L, methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -4, "listener_methods");
    lua_pushcclosure(L, listener_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_pushcfunction(L, net_listen);
    lua_setfield(L, -2, "listen");
    return 0;
}

BINDING(bind_listener)
