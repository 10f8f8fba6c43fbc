/* `neap.net`: outgoing sockets whose every operation parks. The userdata holds a handle; the socket
 * itself is freed when its connection has closed. */
#include "script/bind_net.h"

#include "base/alloc.h"
#include "net/client.h"
#include "net/conn.h"
#include "net/error.h"
#include "script/duration.h"
#include "script/task.h"
#include "script/vm.h"

#include <lauxlib.h>
#include <string.h>

#define SOCKET_TYPE "neap.socket"
#define RECV_DEFAULT 65536
#define CONNECT_MS 10000
#define IN_HIGH_WATER 65536 /* received and not yet taken: then we stop reading */

struct socket {
    struct conn conn;
    struct vm *vm;
    slot_handle handle;
    struct bytes in;
    struct wait *reader;
    struct wait *writer;
    bool has_ended; /* nothing more will come in */
};

struct socket_box {
    slot_handle handle;
};

/* ---- what the connection tells ---- */

static void wake(struct wait **waiting)
{
    struct wait *wait = *waiting;
    *waiting = NULL;
    if (wait)
        wait_wake(wait, 0);
}

/* Nobody can find it any more, and whoever waits is told. The memory goes in on_closed, when the vm
 * may be gone. */
static void socket_forget(struct socket *socket)
{
    slots_take(&socket->vm->sockets, socket->handle);
    wake(&socket->reader);
    wake(&socket->writer);
}

static void socket_on_data(struct conn *conn, const char *data, size_t len)
{
    struct socket *socket = container_of(conn, struct socket, conn);
    bytes_append(&socket->in, data, len);
    if (socket->in.len >= IN_HIGH_WATER)
        conn_read_stop(conn);
    wake(&socket->reader);
}

static void socket_on_gone(struct conn *conn, int err)
{
    struct socket *socket = container_of(conn, struct socket, conn);
    socket->has_ended = true;
    wake(&socket->reader);
    if (err == UV_EOF)
        return;
    socket_forget(socket);
    conn_close(conn);
}

static void socket_on_drained(struct conn *conn)
{
    wake(&container_of(conn, struct socket, conn)->writer);
}

static void socket_on_closed(struct conn *conn)
{
    struct socket *socket = container_of(conn, struct socket, conn);
    bytes_deinit(&socket->in);
    mem_free(socket);
}

static const struct conn_events socket_events = {socket_on_data, socket_on_gone, socket_on_drained,
                                                 socket_on_closed};

/* ---- connecting ---- */

struct connecting {
    struct client client;
    struct wait *wait; /* NULL: nobody waits any more */
    int result;
};

static int push_error(lua_State *L, int err)
{
    lua_pushnil(L);
    lua_pushstring(L, net_error(err));
    return 2;
}

static void connecting_on_done(struct client *client, int fd_or_err)
{
    struct connecting *connecting = container_of(client, struct connecting, client);
    connecting->result = fd_or_err;
    if (connecting->wait) {
        wait_wake(connecting->wait, 0);
        return;
    }
    if (fd_or_err >= 0)
        net_close_fd(fd_or_err);
    mem_free(connecting);
}

static void connecting_undo(struct wait *wait)
{
    struct connecting *connecting = wait->source;
    connecting->wait = NULL;
    client_cancel(&connecting->client);
}

/* Makes the socket, or raises: `box` is what Lua gets, on top. */
static int socket_open(lua_State *L, struct socket_box *box, int fd)
{
    struct vm *vm = vm_of(L);
    struct socket *socket = mem_calloc(sizeof(*socket));
    socket->vm = vm;
    int err = conn_open(&socket->conn, vm->loop, fd, false, &socket_events);
    if (err) {
        mem_free(socket);
        return err;
    }
    socket->conn.is_patient = true; /* what the peer sent before it left is still wanted */
    socket->handle = slots_put(&vm->sockets, socket);
    box->handle = socket->handle;
    conn_read_start(&socket->conn);
    return 0;
}

static int connect_finish(lua_State *L, struct wait *wait)
{
    struct connecting *connecting = wait->source;
    int fd = connecting->result;
    mem_free(connecting);
    struct socket_box *box = lua_touserdata(L, 3);
    int err = fd < 0 ? fd : socket_open(L, box, fd);
    if (err)
        return push_error(L, err);
    lua_settop(L, 3);
    return 1;
}

/* connect(host, port [, timeout]) -> socket | nil, error */
static int net_connect(lua_State *L)
{
    const char *host = luaL_checkstring(L, 1);
    lua_Integer port = luaL_checkinteger(L, 2);
    luaL_argcheck(L, port > 0 && port < 65536, 2, "a port is a number from 1 to 65535");
    uint64_t limit_ms = lua_isnoneornil(L, 3) ? CONNECT_MS : duration_check(L, 3);
    lua_settop(L, 2);
    struct socket_box *box = lua_newuserdatauv(L, sizeof(*box), 0);
    box->handle = 0;
    luaL_setmetatable(L, SOCKET_TYPE); /* stack: host, port, socket */

    struct wait *wait = task_wait(L);
    struct connecting *connecting = mem_calloc(sizeof(*connecting));
    connecting->wait = wait;
    wait->undo = connecting_undo;
    wait->finish = connect_finish;
    wait->source = connecting;
    client_connect(&connecting->client, vm_of(L)->loop, host, (uint16_t)port, (uint32_t)limit_ms,
                   connecting_on_done);
    return task_park(L, WAIT_FOREVER);
}

/* ---- using ---- */

/* NULL once it is closed. */
static struct socket *socket_find(lua_State *L)
{
    struct socket_box *box = luaL_checkudata(L, 1, SOCKET_TYPE);
    return slots_get(&vm_of(L)->sockets, box->handle);
}

static int push_closed(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "closed");
    return 2;
}

static int push_received(lua_State *L, struct socket *socket, size_t most)
{
    if (!socket || socket->in.len == 0)
        return push_closed(L);
    size_t len = socket->in.len < most ? socket->in.len : most;
    lua_pushlstring(L, socket->in.data, len);
    bytes_consume(&socket->in, len);
    if (!socket->has_ended)
        conn_read_start(&socket->conn);
    return 1;
}

static size_t most_arg(lua_State *L)
{
    lua_Integer most = luaL_optinteger(L, 2, RECV_DEFAULT);
    luaL_argcheck(L, most > 0, 2, "at least one byte");
    return (size_t)most;
}

static int recv_finish(lua_State *L, struct wait *wait)
{
    if (wait->outcome == WAIT_TIMEOUT)
        return push_error(L, UV_ETIMEDOUT);
    return push_received(L, socket_find(L), most_arg(L));
}

static void reader_undo(struct wait *wait)
{
    ((struct socket *)wait->source)->reader = NULL;
}

static void writer_undo(struct wait *wait)
{
    ((struct socket *)wait->source)->writer = NULL;
}

static uint64_t timeout_arg(lua_State *L, int index)
{
    return lua_isnoneornil(L, index) ? WAIT_FOREVER : duration_check(L, index);
}

/* s:recv([n [, timeout]]) -> up to n bytes, as soon as any arrive | nil, "closed" | nil, "timeout"
 */
static int socket_recv(lua_State *L)
{
    struct socket *socket = socket_find(L);
    size_t most = most_arg(L);
    uint64_t timeout_ms = timeout_arg(L, 3);
    if (!socket || socket->in.len > 0 || socket->has_ended)
        return push_received(L, socket, most);
    if (socket->reader)
        return luaL_error(L, "another task is receiving from this socket");
    conn_read_start(&socket->conn); /* it may have been paused */
    struct wait *wait = task_wait(L);
    wait->undo = reader_undo;
    wait->finish = recv_finish;
    wait->source = socket;
    socket->reader = wait;
    return task_park(L, timeout_ms);
}

static int send_finish(lua_State *L, struct wait *wait)
{
    if (wait->outcome == WAIT_TIMEOUT)
        return push_error(L, UV_ETIMEDOUT);
    if (!socket_find(L))
        return push_closed(L);
    lua_pushboolean(L, 1);
    return 1;
}

/* s:send(data [, timeout]) -> true | nil, "closed" | nil, "timeout" (the bytes still leave); parks
 * while much is unsent */
static int socket_send(lua_State *L)
{
    size_t len;
    struct socket *socket = socket_find(L);
    const char *data = luaL_checklstring(L, 2, &len);
    uint64_t timeout_ms = timeout_arg(L, 3);
    if (socket && socket->writer)
        return luaL_error(L, "another task is sending on this socket");
    if (socket)
        conn_write(&socket->conn, data, len);
    if (!socket || socket->conn.is_broken)
        return push_closed(L);
    if (conn_unsent(&socket->conn) <= CONN_HIGH_WATER) {
        lua_pushboolean(L, 1);
        return 1;
    }
    struct wait *wait = task_wait(L);
    wait->undo = writer_undo;
    wait->finish = send_finish;
    wait->source = socket;
    socket->writer = wait;
    return task_park(L, timeout_ms);
}

/* s:close() */
static int socket_close(lua_State *L)
{
    struct socket *socket = socket_find(L);
    if (!socket)
        return 0;
    socket_forget(socket);
    conn_finish(&socket->conn);
    return 0;
}

/* s:reset(): closes so that the peer sees a reset, not an end */
static int socket_reset(lua_State *L)
{
    struct socket *socket = socket_find(L);
    if (!socket)
        return 0;
    socket_forget(socket);
    conn_reset(&socket->conn);
    return 0;
}

/* s:shutdown(): our side ends; the peer can go on sending */
static int socket_shutdown(lua_State *L)
{
    struct socket *socket = socket_find(L);
    if (socket)
        conn_shutdown(&socket->conn);
    return 0;
}

/* s:receive_buffer(bytes): how much the kernel takes in for us; small ones make us a slow reader */
static int socket_receive_buffer(lua_State *L)
{
    struct socket *socket = socket_find(L);
    int size = (int)size_check(L, 2);
    if (socket)
        conn_set_receive_buffer(&socket->conn, size);
    return 0;
}

/* s:pause() stops reading from the kernel until the next recv */
static int socket_pause(lua_State *L)
{
    struct socket *socket = socket_find(L);
    if (socket)
        conn_read_stop(&socket->conn);
    return 0;
}

static int socket_gc(lua_State *L)
{
    struct socket_box *box = luaL_checkudata(L, 1, SOCKET_TYPE);
    struct socket *socket = slots_get(&vm_of(L)->sockets, box->handle);
    if (!socket)
        return 0;
    socket_forget(socket);
    conn_close(&socket->conn);
    return 0;
}

int bind_net(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"recv", socket_recv},         {"send", socket_send},
        {"close", socket_close},       {"reset", socket_reset},
        {"shutdown", socket_shutdown}, {"receive_buffer", socket_receive_buffer},
        {"pause", socket_pause},       {NULL, NULL}};
    luaL_newmetatable(L, SOCKET_TYPE);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, socket_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, socket_close);
    lua_setfield(L, -2, "__close");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    lua_pushcfunction(L, net_connect);
    lua_setfield(L, -2, "connect");
    return 0;
}
