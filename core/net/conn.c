/* A connection's life: reading, noticing that the peer left, and the three ways to end (close,
 * finish, linger). What it writes is in outbox.c. */
#include "net/conn.h"

#include "base/mem.h"
#include "base/tally.h"
#include "net/conn_state.h"
#include "net/outbox.h"
#include "net/sweep.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CATCH_UP_READS 32    /* at most, as libuv reads at once */
#define LINGER_QUIET_MS 2000 /* a peer that sends nothing for so long has nothing more to send */

/* Our side has ended; the peer's has not yet. */
struct conn_linger {
    struct conn *conn;
    struct deadline end;
    uint64_t since_ms;
};

int conn_open(struct conn *conn, struct loop *loop, int fd, bool is_unix,
              const struct conn_events *events)
{
    int on = 1;
    if (!is_unix && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
        int err = -errno; /* no socket at all; after this libuv has no reason to refuse it */
        close(fd);
        return err;
    }
    *conn = (struct conn){
        .events = events,
        .stall_ms = CONN_STALL_MS,
        .is_unix = is_unix,
    };
    uv_tcp_init(&loop->uv, &conn->uv.tcp);
    conn->uv.handle.data = loop;
    int err = uv_tcp_open(&conn->uv.tcp, fd);
    assert(err == 0 && "the fd is not an open socket, or belongs to another handle");
    (void)err;
    list_init(&conn->stopped_link);
    tally_add(TALLY_CONN, 1);
    return 0;
}

int conn_fd(const struct conn *conn)
{
    uv_os_fd_t fd = -1;
    uv_fileno(&conn->uv.handle, &fd);
    return fd;
}

/* ---- reading ---- */

static uv_buf_t read_buffer(struct loop *loop)
{
    bool has_room = quota_has_room(loop->input, 0, LOOP_READ_SIZE);
    return uv_buf_init(loop->read_buffer, has_room ? LOOP_READ_SIZE : QUOTA_FREE);
}

/* Without a buffer libuv does not read, and on_read hears of it. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct loop *loop = handle->data;
    *buf = loop->turn.is_crowded ? uv_buf_init(NULL, 0) : read_buffer(loop);
}

static void disarm(struct conn *conn)
{
    if (conn->is_armed)
        uv_read_stop(&conn->uv.stream);
    conn->is_armed = false;
}

/* A connection whose owner has bytes of it keeps its place in the queue. */
static void leave_lists(struct conn *conn)
{
    if (conn->owes_turn)
        return;
    if (conn->is_queued)
        turn_forget(conn);
    else
        sweep_forget(conn);
}

static void halt_reading(struct conn *conn)
{
    leave_lists(conn);
    disarm(conn);
    conn->is_reading = false;
}

void conn_gone(struct conn *conn, int err)
{
    halt_reading(conn);
    if (conn->is_gone || conn->state != CONN_OPEN)
        return;
    conn->is_gone = true;
    conn->events->on_gone(conn, err); /* may close */
}

/* Our side has ended: until the peer is quiet, and not for ever. */
static void linger_on(struct conn *conn)
{
    struct loop *loop = conn_loop(conn);
    uint64_t spent_ms = loop_now_ms(loop) - conn->linger->since_ms;
    uint64_t left_ms = spent_ms < loop->linger_ms ? loop->linger_ms - spent_ms : 0;
    loop_set_deadline(loop, &conn->linger->end,
                      left_ms < LINGER_QUIET_MS ? left_ms : LINGER_QUIET_MS);
}

static void on_linger_due(struct deadline *deadline)
{
    conn_close(container_of(deadline, struct conn_linger, end)->conn);
}

static void linger_begin(struct conn *conn)
{
    conn->linger = mem_calloc(sizeof(*conn->linger));
    conn->linger->conn = conn;
    conn->linger->since_ms = loop_now_ms(conn_loop(conn));
    deadline_init(&conn->linger->end, on_linger_due);
    linger_on(conn);
}

static void linger_end(struct conn *conn)
{
    if (conn->linger == NULL)
        return;
    loop_clear_deadline(conn_loop(conn), &conn->linger->end);
    mem_free(conn->linger);
    conn->linger = NULL;
}

/* Nobody is interested in what the peer says now, only in when it stops. */
static void discard(struct conn *conn, ssize_t nread)
{
    if (nread >= 0) {
        if (conn->linger)
            linger_on(conn);
        return;
    }
    conn->is_gone = true;
    halt_reading(conn);
    if (conn->linger || nread != UV_EOF)
        conn_close(conn);
}

static void on_received(struct conn *conn, ssize_t nread, const char *data)
{
    if (nread > 0 && conn->state == CONN_OPEN)
        conn->events->on_data(conn, data, (size_t)nread); /* may close */
    else if (conn->state == CONN_LINGERING)
        discard(conn, nread);
    else
        conn_gone(conn, (int)nread);
}

/* It is readable, and others were before. The second time epoll shall not tell of it again, as long
 * as it waits. */
static void put_off(struct conn *conn)
{
    if (conn->is_queued)
        disarm(conn);
    else
        turn_queue(conn);
}

__attribute__((noinline)) /* or the usual case saves registers for this one */
static void
read_otherwise(struct conn *conn, ssize_t nread, const uv_buf_t *buf)
{
    if (!buf->base) {
        put_off(conn);
    } else if (nread != 0) {
        turn_enter(&conn_loop(conn)->turn);
        on_received(conn, nread, buf->base); /* may close */
    }
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct conn *conn = container_of(stream, struct conn, uv.stream);
    struct turn *turn = &conn_loop(conn)->turn;
    if (nread <= 0 || conn->state != CONN_OPEN || turn_is_due(turn)) {
        read_otherwise(conn, nread, buf);
        return;
    }
    turn_enter(turn);
    conn->events->on_data(conn, buf->base, (size_t)nread); /* may close */
}

static void conn_arm(struct conn *conn)
{
    if (conn->is_armed)
        return;
    conn->is_armed = true;
    int err = uv_read_start(&conn->uv.stream, on_alloc, on_read);
    assert(err == 0);
    (void)err;
}

static void begin_reading(struct conn *conn)
{
    leave_lists(conn);
    conn->is_reading = true;
    conn_arm(conn);
}

void conn_read_start(struct conn *conn)
{
    if (conn->state == CONN_OPEN && !conn->is_reading && !conn->is_gone)
        begin_reading(conn);
}

void conn_read_stop(struct conn *conn)
{
    if (conn->state != CONN_OPEN || !conn->is_reading)
        return;
    halt_reading(conn);
    if (!conn->is_patient && !conn->is_queued)
        sweep_watch(conn);
}

/* ---- its turn ---- */

void conn_await_turn(struct conn *conn)
{
    if (conn->state != CONN_OPEN || conn->owes_turn)
        return;
    if (!conn->is_queued) {
        sweep_forget(conn);
        turn_weigh(conn, true);
        turn_queue(conn);
    }
    conn->owes_turn = true;
}

/* Past libuv: one read, whoever else is readable. */
static void conn_receive(struct conn *conn)
{
    uv_buf_t buf = read_buffer(conn_loop(conn));
    ssize_t got;
    do {
        got = recv(conn_fd(conn), buf.base, buf.len, 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN)
        return;
    on_received(conn, got > 0 ? got : got == 0 ? UV_EOF : -errno, buf.base); /* may close */
}

/* What it was before it queued. */
static void settle(struct conn *conn)
{
    if (conn->is_queued || conn->state == CONN_CLOSING || conn->is_gone)
        return;
    if (conn->is_reading)
        conn_arm(conn);
    else if (conn->state == CONN_OPEN && !conn->is_patient && list_is_empty(&conn->stopped_link))
        sweep_watch(conn);
}

void conn_serve(struct conn *conn)
{
    bool owes_turn = conn->owes_turn;
    conn->owes_turn = false;
    if (owes_turn)
        conn->events->on_turn(conn); /* may close */
    else if (conn->is_reading)
        conn_receive(conn);
    settle(conn);
}

static bool conn_has_more(const struct conn *conn)
{
    bool is_alive = conn->state == CONN_OPEN && !conn->is_gone;
    return is_alive && (conn->owes_turn || (conn->is_reading && conn_has_unread(conn)));
}

void conn_catch_up(struct conn *conn)
{
    int left = conn->owes_turn ? 1 : CATCH_UP_READS;
    for (; left > 0 && conn_has_more(conn); left--) {
        turn_forget(conn);
        turn_enter(&conn_loop(conn)->turn);
        conn_serve(conn); /* may close */
    }
}

/* ---- ending ---- */

static void conn_on_uv_closed(uv_handle_t *handle)
{
    struct conn *conn = container_of(handle, struct conn, uv.handle);
    struct conn_file *file = conn->outbox ? conn->outbox->file : NULL;
    outbox_free(conn);
    if (file)
        file->done(conn, file, UV_ECANCELED);
    tally_add(TALLY_CONN, -1);
    conn->events->on_closed(conn); /* conn is gone after this */
}

void conn_close(struct conn *conn)
{
    if (conn->state == CONN_CLOSING)
        return;
    conn->state = CONN_CLOSING;
    conn->owes_turn = false;
    halt_reading(conn);
    if (conn_loop(conn)->corked == conn) {
        conn_loop(conn)->corked = NULL;
        bytes_clear(&conn_loop(conn)->cork);
    }
    outbox_stop(conn);
    linger_end(conn);
    uv_close(&conn->uv.handle, conn_on_uv_closed);
}

static void shut_down(struct conn *conn)
{
    outbox_free(conn);
    shutdown(conn_fd(conn), SHUT_WR);
    if (conn->is_gone) {
        conn_close(conn);
        return;
    }
    linger_begin(conn);
}

bool conn_has_unread(const struct conn *conn)
{
    int unread = 0;
    ioctl(conn_fd(conn), FIONREAD, &unread);
    return unread > 0;
}

/* Closing with unread input would send a reset, which can destroy our answer before the peer has
 * read it. */
static void close_or_linger(struct conn *conn)
{
    if (conn_has_unread(conn) && !conn->is_gone)
        conn_linger(conn);
    else
        conn_close(conn);
}

void conn_finish(struct conn *conn)
{
    if (conn->state != CONN_OPEN)
        return;
    conn_flush(conn);
    conn->owes_turn = false;
    halt_reading(conn);
    conn->state = CONN_FINISHING;
    if (conn->is_broken)
        conn_close(conn);
    else if (!outbox_is_busy(conn))
        close_or_linger(conn);
}

void conn_linger(struct conn *conn)
{
    if (conn->state >= CONN_LINGERING)
        return;
    conn_flush(conn);
    conn->owes_turn = false;
    conn->state = CONN_LINGERING;
    if (conn->is_broken) {
        conn_close(conn);
        return;
    }
    if (!conn->is_gone && !conn->is_reading)
        begin_reading(conn);
    if (!outbox_is_busy(conn))
        shut_down(conn);
}

void conn_reset(struct conn *conn)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (conn->state == CONN_CLOSING)
        return;
    setsockopt(conn_fd(conn), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    conn_close(conn);
}

void conn_cut_ending(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (uv_handle_get_type(handle) != UV_TCP) /* all of these are ours */
        return;
    struct conn *conn = container_of(handle, struct conn, uv.handle);
    if (conn->state == CONN_FINISHING || conn->state == CONN_LINGERING)
        conn_close(conn);
}

void conn_shutdown(struct conn *conn)
{
    conn_flush(conn);
    conn->is_ended = true;
    if (conn->state == CONN_OPEN && !outbox_is_busy(conn))
        shutdown(conn_fd(conn), SHUT_WR);
}

void conn_set_receive_buffer(struct conn *conn, int size)
{
    setsockopt(conn_fd(conn), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

void conn_settled(struct conn *conn, bool owes_drained)
{
    if (conn->state == CONN_FINISHING)
        close_or_linger(conn);
    else if (conn->state == CONN_LINGERING)
        shut_down(conn);
    else if (conn->is_ended)
        shutdown(conn_fd(conn), SHUT_WR);
    if (conn->state == CONN_OPEN && owes_drained)
        conn->events->on_drained(conn); /* may close */
}
