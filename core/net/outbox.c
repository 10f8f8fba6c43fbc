/* Writing: the first try, the rest that waits for the kernel, and the stall of a peer
 * that takes nothing. An outbox belongs to its connection.
 *
 * libuv writes all that it is given as soon as there is room, whoever else waits. So it gets a
 * small piece, whose end is our wait for room, and the rest leaves in slices at the end of the
 * turn. */
#include "net/outbox.h"

#include "base/mem.h"
#include "net/conn_state.h"
#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define STALL_CHECKS 4 /* looks at a waiting connection within stall_ms */
#define PIECE 2048     /* that waits for room */
#define SLICE 65536    /* that is sent at once when there is some */

/* ---- stall ---- */

static void arm_stall(struct conn *conn)
{
    uint32_t every_ms = conn->stall_ms / STALL_CHECKS;
    if (conn->stall_ms != 0)
        loop_set_deadline(conn_loop(conn), &conn->outbox->stall, every_ms ? every_ms : 1);
}

/* libuv reports a write only when it is complete, so look at what is left of it; and a slow peer
 * that only empties the kernel's buffer is alive too. */
static bool has_progress(struct conn *conn)
{
    struct conn_outbox *outbox = conn->outbox;
    size_t queued = conn->uv.stream.write_queue_size;
    int unacked = 0;
    ioctl(conn_fd(conn), SIOCOUTQ, &unacked);
    bool moved =
        outbox->has_moved || queued < outbox->seen_queued || unacked < outbox->seen_unacked;
    outbox->has_moved = false;
    outbox->seen_queued = queued;
    outbox->seen_unacked = unacked;
    return moved;
}

static bool has_stalled(struct conn *conn)
{
    struct conn_outbox *outbox = conn->outbox;
    outbox->quiet_checks = has_progress(conn) ? 0 : (uint8_t)(outbox->quiet_checks + 1);
    if (outbox->quiet_checks >= STALL_CHECKS)
        return true;
    arm_stall(conn);
    return false;
}

static void on_stall_due(struct deadline *deadline)
{
    struct conn *conn = container_of(deadline, struct conn_outbox, stall)->conn;
    if (has_stalled(conn)) {
        conn_gone(conn, UV_ETIMEDOUT); /* may close */
        conn_close(conn);
    }
}

/* ---- life ---- */

/* Safe at the end of a turn: the owner is not in the middle of a conn_write. */
static void report_break(struct loop_job *job)
{
    struct conn_outbox *outbox = container_of(job, struct conn_outbox, report);
    struct conn *conn = outbox->conn;
    struct conn_file *file = outbox->file;
    bool owes_drained = outbox->owes_drained;
    int err = outbox->err;

    if (outbox->flying.len > 0) { /* only closing takes that back */
        conn_gone(conn, err);     /* may close */
        conn_close(conn);
        return;
    }
    outbox_free(conn);
    if (file)
        file->done(conn, file, err); /* may close */
    if (conn->state == CONN_FINISHING || conn->state == CONN_LINGERING)
        conn_close(conn);
    else if (conn->state == CONN_OPEN && !conn->is_gone)
        conn_gone(conn, err); /* may close */
    else if (conn->state == CONN_OPEN && owes_drained)
        conn->events->on_drained(conn);
}

struct conn_outbox *outbox_of(struct conn *conn)
{
    if (conn->outbox == NULL) {
        conn->outbox = mem_calloc(sizeof(*conn->outbox));
        conn->outbox->conn = conn;
        conn->outbox->report.run = report_break;
        list_init(&conn->outbox->link);
        deadline_init(&conn->outbox->stall, on_stall_due);
        arm_stall(conn);
    }
    return conn->outbox;
}

static void outbox_shrink(struct conn *conn, size_t len)
{
    struct conn_outbox *outbox = conn->outbox;
    quota_change(conn_loop(conn)->output, outbox->kept, outbox->kept - len);
    outbox->kept -= len;
}

void outbox_free(struct conn *conn)
{
    struct conn_outbox *outbox = conn->outbox;
    if (outbox == NULL)
        return;
    assert(!outbox->is_flying);
    conn->outbox = NULL;
    list_remove(&outbox->link);
    loop_cancel_job(&outbox->report);
    loop_clear_deadline(conn_loop(conn), &outbox->stall);
    quota_change(conn_loop(conn)->output, outbox->kept, 0);
    bytes_deinit(&outbox->flying);
    bytes_deinit(&outbox->waiting);
    bytes_deinit(&outbox->after);
    mem_free(outbox);
}

void outbox_stop(struct conn *conn)
{
    struct conn_outbox *outbox = conn->outbox;
    if (outbox == NULL)
        return;
    list_remove(&outbox->link);
    loop_cancel_job(&outbox->report);
    if (outbox->file)
        list_remove(&outbox->file->link);
    loop_clear_deadline(conn_loop(conn), &outbox->stall);
}

bool outbox_is_busy(const struct conn *conn)
{
    const struct conn_outbox *outbox = conn->outbox;
    return outbox && (outbox->flying.len > 0 || outbox->waiting.len > 0 || outbox->file);
}

void outbox_break(struct conn *conn, int err)
{
    struct conn_outbox *outbox = outbox_of(conn);
    conn->is_broken = true;
    list_remove(&outbox->link);
    outbox_shrink(conn, outbox->waiting.len + outbox->after.len);
    bytes_deinit(&outbox->waiting);
    bytes_deinit(&outbox->after);
    outbox->err = err;
    loop_defer(conn_loop(conn), &outbox->report);
}

bool outbox_grow(struct conn *conn, size_t len)
{
    struct quota *quota = conn_loop(conn)->output;
    struct conn_outbox *outbox = outbox_of(conn);
    if (!quota_change(quota, outbox->kept, outbox->kept + len)) {
        quota_refuse(quota);
        outbox_break(conn, UV_ENOBUFS);
        return false;
    }
    outbox->kept += len;
    return true;
}

bool conn_has_room(const struct conn *conn, size_t len)
{
    size_t kept = conn->outbox ? conn->outbox->kept : 0;
    size_t corked = conn_loop(conn)->corked == conn ? conn_loop(conn)->cork.len : 0;
    return quota_has_room(conn_loop(conn)->output, kept, kept + corked + len);
}

/* ---- sending ---- */

static void send_roomy(struct loop_job *job);

static void drop_flying(struct conn *conn)
{
    struct conn_outbox *outbox = conn->outbox;
    outbox_shrink(conn, outbox->flying.len);
    bytes_clear(&outbox->flying);
    outbox->flown = 0;
}

static void flight_failed(struct conn *conn, int err)
{
    drop_flying(conn);
    outbox_break(conn, err);
}

/* There is room. */
static void outbox_go_on(struct conn *conn)
{
    struct loop *loop = conn_loop(conn);
    list_push(&loop->roomy, &conn->outbox->link);
    loop->roomy_job.run = send_roomy;
    loop_defer(loop, &loop->roomy_job);
}

static size_t piece_len(const struct conn_outbox *outbox, size_t most)
{
    size_t left = outbox->flying.len - outbox->flown;
    return left < most ? left : most;
}

static void on_written(uv_write_t *request, int status)
{
    struct conn_outbox *outbox = container_of(request, struct conn_outbox, request);
    struct conn *conn = outbox->conn;
    outbox->is_flying = false;
    outbox->has_moved = true;
    outbox->flown += piece_len(outbox, PIECE);
    if (conn->state == CONN_CLOSING)
        return;
    if (status < 0)
        flight_failed(conn, status);
    else if (!conn->is_broken)
        outbox_go_on(conn);
}

void outbox_fly(struct conn *conn)
{
    struct conn_outbox *outbox = conn->outbox;
    uv_buf_t buf =
        uv_buf_init(outbox->flying.data + outbox->flown, (unsigned)piece_len(outbox, PIECE));
    int err = uv_write(&outbox->request, &conn->uv.stream, &buf, 1, on_written);
    if (err)
        outbox_break(conn, err);
    else
        outbox->is_flying = true;
}

static void lift_waiting(struct conn_outbox *outbox)
{
    struct bytes empty = outbox->flying;
    outbox->flying = outbox->waiting;
    outbox->waiting = empty;
}

void outbox_pump(struct conn *conn)
{
    struct conn_outbox *outbox = conn->outbox;
    if (outbox->flying.len > 0 || conn->is_broken)
        return;
    if (outbox->waiting.len > 0) {
        lift_waiting(outbox);
        outbox_go_on(conn);
    } else if (outbox->file) {
        conn_file_go_on(outbox->file);
    } else {
        bool owes_drained = outbox->owes_drained;
        outbox_free(conn);
        conn_settled(conn, owes_drained); /* may call the owner */
    }
}

/* What was just kept, because the kernel is full. */
static void outbox_start(struct conn *conn)
{
    struct conn_outbox *outbox = conn->outbox;
    if (!outbox || outbox->waiting.len == 0 || outbox->flying.len > 0 || conn->is_broken)
        return;
    lift_waiting(outbox);
    outbox_fly(conn);
}

static void outbox_keep(struct conn *conn, const void *data, size_t len)
{
    if (len == 0 || conn->is_broken || !outbox_grow(conn, len))
        return;
    struct conn_outbox *outbox = conn->outbox;
    outbox->owes_drained = true;
    bytes_append(outbox->file ? &outbox->after : &outbox->waiting, data, len);
}

void outbox_queue(struct conn *conn, const void *data, size_t len)
{
    outbox_keep(conn, data, len);
    outbox_start(conn);
}

static ssize_t send_both(struct conn *conn, const void *head, size_t head_len, const void *body,
                         size_t body_len)
{
    struct iovec parts[2] = {{(void *)(uintptr_t)head, head_len},
                             {(void *)(uintptr_t)body, body_len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    return sendmsg(conn_fd(conn), &message, MSG_NOSIGNAL);
}

/* Directly, past libuv: nothing of this connection is in its queue. */
static ssize_t try_send(struct conn *conn, const void *head, size_t head_len, const void *body,
                        size_t body_len)
{
    ssize_t sent;
    do {
        sent = body_len > 0 ? send_both(conn, head, head_len, body, body_len)
                            : send(conn_fd(conn), head, head_len, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return sent;
    return errno == EAGAIN || errno == ENOBUFS ? 0 : -errno;
}

void outbox_send(struct conn *conn, const void *head, size_t head_len, const void *body,
                 size_t body_len)
{
    size_t sent = 0;
    if (conn->is_broken)
        return;
    if (!outbox_is_busy(conn)) {
        ssize_t result = try_send(conn, head, head_len, body, body_len);
        if (result < 0) {
            outbox_break(conn, (int)result);
            return;
        }
        sent = (size_t)result;
    }
    size_t head_sent = sent < head_len ? sent : head_len;
    outbox_keep(conn, (const char *)head + head_sent, head_len - head_sent);
    sent -= head_sent;
    if (body_len > 0)
        outbox_keep(conn, (const char *)body + sent, body_len - sent);
    outbox_start(conn);
}

static void send_slice(struct conn *conn)
{
    struct conn_outbox *outbox = conn->outbox;
    size_t len = piece_len(outbox, SLICE);
    ssize_t sent = len > 0 ? try_send(conn, outbox->flying.data + outbox->flown, len, NULL, 0) : 0;
    if (sent < 0) {
        flight_failed(conn, (int)sent);
        return;
    }
    outbox->has_moved |= sent > 0;
    outbox->flown += (size_t)sent;
    if (outbox->flown == outbox->flying.len) {
        drop_flying(conn);
        outbox_pump(conn); /* may call the owner */
    } else if ((size_t)sent == len) {
        outbox_go_on(conn);
    } else {
        outbox_fly(conn);
    }
}

/* Whoever was sent a slice goes to the tail. */
static void send_roomy(struct loop_job *job)
{
    struct loop *loop = container_of(job, struct loop, roomy_job);
    struct list *link;
    turn_begin(&loop->turn, TURN_WRITES);
    while (!turn_is_over(&loop->turn, TURN_WRITES) && (link = list_shift(&loop->roomy)) != NULL) {
        send_slice(container_of(link, struct conn_outbox, link)->conn);
        turn_ends(&loop->turn, TURN_WRITES);
    }
    loop_cancel_job(job);
    if (!list_is_empty(&loop->roomy))
        loop_defer_next(loop, job);
}

bool outbox_is_shut(const struct conn *conn)
{
    return conn->is_broken || conn->is_ended || conn->state != CONN_OPEN;
}

size_t conn_try_write(struct conn *conn, const void *data, size_t len)
{
    conn_flush(conn);
    if (len == 0 || outbox_is_shut(conn) || outbox_is_busy(conn))
        return 0;
    ssize_t sent = try_send(conn, data, len, NULL, 0);
    if (sent >= 0)
        return (size_t)sent;
    outbox_break(conn, (int)sent);
    return 0;
}

size_t conn_unsent(const struct conn *conn)
{
    size_t unsent = conn_loop(conn)->corked == conn ? conn_loop(conn)->cork.len : 0;
    const struct conn_outbox *outbox = conn->outbox;
    if (outbox)
        unsent += outbox->flying.len - outbox->flown + outbox->waiting.len + outbox->after.len;
    return unsent;
}
