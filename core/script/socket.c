/* What the connection of a socket tells, and what of it Lua can find: see socket.h. */
#include "script/socket.h"

#include "base/alloc.h"
#include "net/error.h"
#include "script/task.h"
#include "script/vm.h"

#include <string.h>

#define IN_HIGH_WATER 65536 /* received and not yet taken: then we stop reading */

static void wake(struct wait **waiting)
{
    struct wait *wait = *waiting;
    *waiting = NULL;
    if (wait)
        wait_wake(wait, 0);
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

static void socket_on_data(struct conn *conn, const char *data, size_t len)
{
    struct socket *socket = container_of(conn, struct socket, conn);
    size_t found;
    bytes_append(&socket->in, data, len);
    bool is_awaited = socket->reader && socket_goal_check(socket, &found) == GOAL_OPEN;
    if (!is_awaited && socket->in.len >= IN_HIGH_WATER)
        conn_read_stop(conn);
    if (!is_awaited)
        wake(&socket->reader);
}

static void socket_on_gone(struct conn *conn, int err)
{
    struct socket *socket = container_of(conn, struct socket, conn);
    socket->end = err;
    wake(&socket->reader);
    if (err == UV_EOF)
        return; /* writing may still work */
    wake(&socket->writer);
    conn_close(conn);
}

static void socket_on_drained(struct conn *conn)
{
    wake(&container_of(conn, struct socket, conn)->writer);
}

static void socket_free(struct socket *socket)
{
    bytes_deinit(&socket->in);
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

static const struct conn_events socket_events = {socket_on_data, socket_on_gone, socket_on_drained,
                                                 socket_on_closed};

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

bool socket_can_send(const struct socket *socket)
{
    return !socket->is_closed && socket->conn.state == CONN_OPEN && !socket->conn.is_broken;
}

void socket_write(struct socket *socket, const void *data, size_t len)
{
    if (socket_can_send(socket))
        conn_write(&socket->conn, data, len);
}

void socket_shutdown(struct socket *socket)
{
    if (socket_can_send(socket))
        conn_shutdown(&socket->conn);
}

void socket_forget(struct socket *socket, void (*end)(struct conn *conn))
{
    slots_take(&socket->vm->sockets, socket->handle);
    socket->handle = 0;
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
    return socket->end == 0 || socket->end == UV_EOF ? "closed" : net_error(socket->end);
}
