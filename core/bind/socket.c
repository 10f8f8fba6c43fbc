/* What the connection of a socket tells, and what of it Lua can find: see socket.h. */
#include "bind/socket.h"

#include "base/mem.h"
#include "net/net.h"
#include "task/task.h"
#include "task/vm.h"

#include <string.h>

#define IN_HIGH_WATER 65536 /* received and not yet taken: then we stop reading */

static void wake(struct wait **waiting)
{
    struct wait *wait = *waiting;
    *waiting = NULL;
    if (wait)
        task_wake_wait(wait, 0);
}

/* ---- goals ---- */

static bool find_delim(struct socket_goal *goal, const struct bytes *in, size_t *len)
{
    if (in->len < goal->delim_len)
        return false;
    const char *found =
        memmem(in->data + goal->searched, in->len - goal->searched, goal->delim, goal->delim_len);
    if (found)
        *len = (size_t)(found - in->data);
    else
        goal->searched = in->len - goal->delim_len + 1;
    return found != NULL;
}

static enum goal_state check_delim(struct socket_goal *goal, const struct bytes *in, size_t *len)
{
    if (find_delim(goal, in, len))
        return *len > goal->most ? GOAL_TOO_LARGE : GOAL_REACHED;
    bool can_come = in->len < goal->delim_len || in->len - goal->delim_len < goal->most;
    return can_come ? GOAL_OPEN : GOAL_TOO_LARGE;
}

enum goal_state socket_goal_check(struct socket *socket, size_t *len)
{
    struct socket_goal *goal = &socket->goal;
    const struct bytes *in = &socket->in;
    if (goal->delim)
        return check_delim(goal, in, len);
    *len = in->len < goal->most ? in->len : goal->most;
    return in->len >= goal->least ? GOAL_REACHED : GOAL_OPEN;
}

/* ---- what the connection tells ---- */

static void tell_secure(struct socket *socket)
{
    void (*on_secure)(void *owner) = socket->on_secure;
    socket->on_secure = NULL;
    if (on_secure)
        on_secure(socket->secure_owner); /* may forget the socket: it can be gone after this */
}

/* What TLS has to say goes to the network. */
static void pass_output(struct socket *socket)
{
    size_t len;
    const char *data = tls_output(socket->tls, &len);
    if (len > 0)
        conn_write(&socket->conn, data, len);
    tls_output_taken(socket->tls);
}

/* Nothing more comes in; the peer may still be told why. */
static void socket_end(struct socket *socket, int err)
{
    socket->end = err;
    wake(&socket->reader);
    if (err != UV_EOF) {
        wake(&socket->writer);
        conn_finish(&socket->conn);
    }
}

static void take_in(struct socket *socket)
{
    size_t found;
    bool is_awaited = socket->reader && socket_goal_check(socket, &found) == GOAL_OPEN;
    if (!is_awaited && socket->in.len >= IN_HIGH_WATER)
        conn_read_stop(&socket->conn);
    if (!is_awaited)
        wake(&socket->reader);
}

static void take_in_secured(struct socket *socket, const char *data, size_t len)
{
    size_t before = socket->in.len;
    enum tls_state state = tls_receive(socket->tls, data, len, &socket->in);
    pass_output(socket);
    if (socket->in.len > before)
        take_in(socket);
    if (state == TLS_FAILED)
        socket_end(socket, UV_EPROTO);
    else if (state == TLS_ENDED && socket->end == 0)
        socket_end(socket, UV_EOF);
    if (state != TLS_SHAKING)
        tell_secure(socket);
}

static void socket_on_data(struct conn *conn, const char *data, size_t len)
{
    struct socket *socket = container_of(conn, struct socket, conn);
    if (socket->tls) {
        take_in_secured(socket, data, len);
        return;
    }
    bytes_append(&socket->in, data, len);
    take_in(socket);
}

/* A secured connection ends with a word; without it somebody else may have cut it. */
static void socket_on_gone(struct conn *conn, int err)
{
    struct socket *socket = container_of(conn, struct socket, conn);
    if (socket->end == 0)
        socket->end = err;
    wake(&socket->reader);
    if (err != UV_EOF) {
        wake(&socket->writer);
        conn_close(conn);
    }
    tell_secure(socket);
}

static void socket_on_drained(struct conn *conn)
{
    wake(&container_of(conn, struct socket, conn)->writer);
}

static void socket_free(struct socket *socket)
{
    bytes_deinit(&socket->in);
    tls_free(socket->tls);
    mem_free(socket);
}

/* The vm may be gone, if Lua has let go of the socket. */
static void socket_on_closed(struct conn *conn)
{
    struct socket *socket = container_of(conn, struct socket, conn);
    socket->is_closed = true;
    if (socket->handle == 0)
        socket_free(socket);
}

static const struct conn_events socket_events = {
    .on_data = socket_on_data,
    .on_gone = socket_on_gone,
    .on_drained = socket_on_drained,
    .on_closed = socket_on_closed,
};

/* ---- life ---- */

int socket_open(struct socket **opened, struct vm *vm, int fd, bool is_unix)
{
    struct socket *socket = mem_calloc(sizeof(*socket));
    socket->vm = vm;
    list_init(&socket->accepted_link);
    int err = conn_open(&socket->conn, vm->loop, fd, is_unix, &socket_events);
    if (err) {
        mem_free(socket);
        return err;
    }
    socket->conn.is_patient = true; /* what the peer sent before it left is still wanted */
    socket->handle = slots_put(&vm->sockets, socket);
    *opened = socket;
    return 0;
}

void socket_start(struct socket *socket)
{
    if (socket->end == 0)
        conn_read_start(&socket->conn);
}

void socket_secure(struct socket *socket, struct tls *tls, void (*on_secure)(void *owner),
                   void *owner)
{
    socket->tls = tls;
    socket->on_secure = on_secure;
    socket->secure_owner = owner;
    pass_output(socket);
    socket_start(socket);
}

bool socket_can_send(const struct socket *socket)
{
    return !socket->is_closed && socket->conn.state == CONN_OPEN && !socket->conn.is_broken;
}

void socket_write(struct socket *socket, const void *data, size_t len)
{
    if (!socket_can_send(socket))
        return;
    if (!socket->tls) {
        conn_write(&socket->conn, data, len);
        return;
    }
    tls_send(socket->tls, data, len);
    pass_output(socket);
    if (tls_state(socket->tls) == TLS_FAILED)
        socket_end(socket, UV_EPROTO);
}

void socket_say_end(struct socket *socket)
{
    if (!socket->tls || !socket_can_send(socket))
        return;
    tls_end(socket->tls);
    pass_output(socket);
}

void socket_shutdown(struct socket *socket)
{
    socket_say_end(socket);
    if (socket_can_send(socket))
        conn_shutdown(&socket->conn);
}

void socket_forget(struct socket *socket, void (*end)(struct conn *conn))
{
    slots_take(&socket->vm->sockets, socket->handle);
    socket->handle = 0;
    socket->on_secure = NULL;
    list_remove(&socket->accepted_link);
    wake(&socket->reader);
    wake(&socket->writer);
    if (socket->is_closed)
        socket_free(socket);
    else
        end(&socket->conn);
}

const char *socket_end_reason(const struct socket *socket)
{
    const struct tls *tls = socket->tls;
    if (tls && tls_state(tls) == TLS_FAILED)
        return tls_error(tls);
    if (socket->end != 0 && socket->end != UV_EOF)
        return net_error(socket->end);
    if (socket->end == 0 || !tls || tls_state(tls) == TLS_ENDED)
        return "closed";
    return tls_state(tls) == TLS_SHAKING ? "tls: closed by the peer" : "truncated";
}
