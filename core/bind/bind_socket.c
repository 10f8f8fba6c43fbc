/* The methods of a socket. The userdata holds a handle; one task may receive and one may send at a
 * time. */
#include "bind/socket.h"
#include "net/net.h"
#include "task/origin.h"
#include "task/task.h"
#include "task/vm.h"
#include "value/binding.h"
#include "value/units.h"

#include <lauxlib.h>

#define SOCKET_TYPE "neap.socket"
#define RECV_MOST 65536

struct socket_box *socket_box_push(lua_State *L)
{
    struct socket_box *box = lua_newuserdatauv(L, sizeof(*box), 1);
    box->handle = 0;
    luaL_setmetatable(L, SOCKET_TYPE);
    origin_keep(L);
    return box;
}

struct socket *socket_find(lua_State *L)
{
    struct socket_box *box = luaL_checkudata(L, 1, SOCKET_TYPE);
    return slots_get(&vm_of(L)->sockets, box->handle);
}

int socket_push_error(lua_State *L, const char *reason)
{
    lua_pushnil(L);
    lua_pushstring(L, reason);
    return 2;
}

static uint64_t timeout_arg(lua_State *L, int index)
{
    return lua_isnoneornil(L, index) ? WAIT_FOREVER : units_check_duration(L, index);
}

/* ---- receiving ---- */

static int push_received(lua_State *L, struct socket *socket, size_t len)
{
    size_t skipped = socket->goal.delim ? socket->goal.delim_len : 0;
    lua_pushlstring(L, socket->in.data ? socket->in.data : "", len);
    bytes_consume(&socket->in, len + skipped);
    socket_start(socket); /* it may have been paused */
    return 1;
}

static int receive_finish(lua_State *L, struct wait *wait)
{
    struct socket *socket = socket_find(L);
    size_t len;
    if (!socket)
        return socket_push_error(L, "closed");
    if (socket->reader == wait)
        socket->reader = NULL; /* woken by its turn */
    switch (socket_goal_check(socket, &len)) {
    case GOAL_REACHED: return push_received(L, socket, len);
    case GOAL_TOO_LARGE: return socket_push_error(L, "too_large");
    default: break;
    }
    bool is_late = wait->outcome == WAIT_TIMEOUT;
    return socket_push_error(L, is_late ? net_error(UV_ETIMEDOUT) : socket_end_reason(socket));
}

static void reader_undo(struct wait *wait)
{
    ((struct socket *)wait->source)->reader = NULL;
}

/* -> data | nil, "closed", "timeout", "too_large", ... */
static int bind_socket_receive(lua_State *L, const struct socket_goal *goal, uint64_t timeout_ms)
{
    struct socket *socket = socket_find(L);
    size_t len;
    if (!socket)
        return task_answer_gone(L, socket_push_error(L, "closed"));
    if (socket->reader)
        return luaL_error(L, "another task is receiving from this socket");
    socket->goal = *goal;
    enum goal_state state = socket_goal_check(socket, &len);
    bool is_there = state == GOAL_REACHED;
    if (is_there && !task_had_enough(L, len))
        return push_received(L, socket, len);
    if (state == GOAL_TOO_LARGE)
        return socket_push_error(L, "too_large");
    if (!is_there && socket->end != 0)
        return task_answer_gone(L, socket_push_error(L, socket_end_reason(socket)));
    struct wait *wait = task_wait(L);
    socket_start(socket);
    wait->undo = reader_undo;
    wait->lost = is_there ? reader_undo : NULL;
    wait->finish = receive_finish;
    wait->source = socket;
    wait->conn = &socket->conn;
    socket->reader = wait;
    return is_there ? task_pause(L, wait) : task_park(L, timeout_ms);
}

static size_t size_arg(lua_State *L, int index, lua_Integer otherwise)
{
    lua_Integer size = luaL_optinteger(L, index, otherwise);
    luaL_argcheck(L, size > 0, index, "at least one byte");
    return (size_t)size;
}

/* s:recv([n [, timeout]]) -> up to n bytes, as soon as any arrive */
static int socket_recv(lua_State *L)
{
    struct socket_goal goal = {.least = 1, .most = size_arg(L, 2, RECV_MOST)};
    return bind_socket_receive(L, &goal, timeout_arg(L, 3));
}

/* s:read_exact(n [, timeout]) -> n bytes; when there are fewer they stay for recv */
static int socket_read_exact(lua_State *L)
{
    luaL_checkinteger(L, 2);
    size_t count = size_arg(L, 2, 1);
    struct socket_goal goal = {.least = count, .most = count};
    return bind_socket_receive(L, &goal, timeout_arg(L, 3));
}

/* s:read_until(delim [, limit [, timeout]]) -> what stands before the delimiter */
static int socket_read_until(lua_State *L)
{
    struct socket_goal goal = {.most = RECV_MOST};
    goal.delim = luaL_checklstring(L, 2, &goal.delim_len);
    luaL_argcheck(L, goal.delim_len > 0, 2, "a delimiter has at least one byte");
    if (!lua_isnoneornil(L, 3))
        goal.most = units_check_size(L, 3);
    return bind_socket_receive(L, &goal, timeout_arg(L, 4));
}

/* ---- sending ---- */

static int bind_socket_push_sent(lua_State *L)
{
    struct socket *socket = socket_find(L);
    if (!socket || !socket_can_send(socket))
        return socket_push_error(L, "closed");
    lua_pushboolean(L, 1);
    return 1;
}

static int send_finish(lua_State *L, struct wait *wait)
{
    if (wait->outcome == WAIT_TIMEOUT)
        return socket_push_error(L, net_error(UV_ETIMEDOUT));
    return bind_socket_push_sent(L);
}

/* All left at once, whatever came of the socket while others had their turn. */
static int sent_finish(lua_State *L, struct wait *wait)
{
    (void)wait;
    lua_pushboolean(L, 1);
    return 1;
}

static void writer_undo(struct wait *wait)
{
    ((struct socket *)wait->source)->writer = NULL;
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
        socket_write(socket, data, len);
    if (!socket || !socket_can_send(socket))
        return task_answer_gone(L, bind_socket_push_sent(L));
    if (conn_unsent(&socket->conn) <= CONN_HIGH_WATER)
        return task_had_enough(L, len) ? task_yield_then(L, sent_finish) : bind_socket_push_sent(L);
    struct wait *wait = task_wait(L);
    wait->undo = writer_undo;
    wait->finish = send_finish;
    wait->source = socket;
    socket->writer = wait;
    return task_park(L, timeout_ms);
}

/* s:shutdown(): our side ends; the peer can go on sending */
static int socket_lua_shutdown(lua_State *L)
{
    struct socket *socket = socket_find(L);
    if (socket)
        socket_shutdown(socket);
    return 0;
}

/* s:is_quiet() -> whether it is open and nothing has come that was not taken: an unused connection
 * that still is one */
static int socket_is_quiet(lua_State *L)
{
    const struct socket *socket = socket_find(L);
    lua_pushboolean(L, socket && socket->end == 0 && socket->in.len == 0);
    return 1;
}

/* s:protocol() -> what TLS has agreed on by ALPN | nil */
static int socket_protocol(lua_State *L)
{
    struct socket *socket = socket_find(L);
    size_t len;
    const char *name = socket && socket->tls ? tls_protocol(socket->tls, &len) : NULL;
    if (!name)
        return 0;
    lua_pushlstring(L, name, len);
    return 1;
}

/* ---- tuning ---- */

/* s:receive_buffer(bytes): how much the kernel takes in for us; small ones make us a slow reader */
static int socket_receive_buffer(lua_State *L)
{
    struct socket *socket = socket_find(L);
    int size = (int)units_check_size(L, 2);
    if (socket && !socket->is_closed)
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

/* ---- closing ---- */

/* s:close(): what was sent still leaves */
static int socket_close(lua_State *L)
{
    struct socket *socket = socket_find(L);
    if (!socket)
        return 0;
    socket_say_end(socket);
    socket_forget(socket, conn_finish);
    return 0;
}

/* s:reset(): closes so that the peer sees a reset, not an end */
static int socket_reset(lua_State *L)
{
    struct socket *socket = socket_find(L);
    if (socket)
        socket_forget(socket, conn_reset);
    return 0;
}

static int socket_gc(lua_State *L)
{
    struct socket *socket = socket_find(L);
    if (!socket)
        return 0;
    origin_log_leak(L, 1, "a socket");
    socket_forget(socket, conn_close);
    return 0;
}

static int bind_socket(lua_State *L)
{
    static const luaL_Reg methods[] = {{"recv", socket_recv},
                                       {"read_exact", socket_read_exact},
                                       {"read_until", socket_read_until},
                                       {"send", socket_send},
                                       {"shutdown", socket_lua_shutdown},
                                       {"protocol", socket_protocol},
                                       {"is_quiet", socket_is_quiet},
                                       {"receive_buffer", socket_receive_buffer},
                                       {"pause", socket_pause},
                                       {"close", socket_close},
                                       {"reset", socket_reset},
                                       {NULL, NULL}};
    luaL_newmetatable(L, SOCKET_TYPE);
    lua_pushcfunction(L, socket_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, socket_close);
    lua_setfield(L, -2, "__close");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    luaL_newlib(L, methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__index");
    lua_setfield(L, -3, "socket_methods");
    lua_pop(L, 1);
    return 0;
}

BINDING(bind_socket)
