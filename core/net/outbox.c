/* Writing: the cork, the first try, the rest that waits for the kernel, and the stall of a peer
 * that takes nothing. An outbox belongs to its connection. */
#include "net/outbox.h"

#include "base/mem.h"
#include "net/conn_state.h"
#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define CORK_MAX 65536  /* gathered bytes that leave without waiting for uncork */
#define BIG_WRITE 16384 /* not worth copying into the cork */
#define STALL_CHECKS 4  /* looks at a waiting connection within stall_ms */

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

    if (outbox->is_flying) {  /* only closing takes that back */
        conn_gone(conn, err); /* may close */
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
    loop_cancel_job(&outbox->report);
    if (outbox->file)
        list_remove(&outbox->file->link);
    loop_clear_deadline(conn_loop(conn), &outbox->stall);
}

bool outbox_is_busy(const struct conn *conn)
{
    const struct conn_outbox *outbox = conn->outbox;
    return outbox && (outbox->is_flying || outbox->waiting.len > 0 || outbox->file);
}

void outbox_break(struct conn *conn, int err)
{
    struct conn_outbox *outbox = outbox_of(conn);
    conn->is_broken = true;
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

static void on_written(uv_write_t *request, int status)
{
    struct conn_outbox *outbox = container_of(request, struct conn_outbox, request);
    struct conn *conn = outbox->conn;
    outbox->is_flying = false;
    outbox->has_moved = true;
    outbox_shrink(conn, outbox->flying.len);
    bytes_clear(&outbox->flying);
    if (conn->state == CONN_CLOSING)
        return;
    if (status < 0)
        outbox_break(conn, status);
    else
        outbox_pump(conn); /* may call the owner */
}

void outbox_fly(struct conn *conn)
{
    struct conn_outbox *outbox = conn->outbox;
    uv_buf_t buf = {.base = outbox->flying.data, .len = outbox->flying.len};
    int err = uv_write(&outbox->request, &conn->uv.stream, &buf, 1, on_written);
    if (err)
        outbox_break(conn, err);
    else
        outbox->is_flying = true;
}

void outbox_pump(struct conn *conn)
{
    struct conn_outbox *outbox = conn->outbox;
    if (outbox->is_flying || conn->is_broken)
        return;
    if (outbox->waiting.len > 0) {
        struct bytes empty = outbox->flying;
        outbox->flying = outbox->waiting;
        outbox->waiting = empty;
        outbox_fly(conn);
    } else if (outbox->file) {
        conn_file_go_on(outbox->file);
    } else {
        bool owes_drained = outbox->owes_drained;
        outbox_free(conn);
        conn_settled(conn, owes_drained); /* may call the owner */
    }
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
    if (conn->outbox && conn->outbox->waiting.len > 0)
        outbox_pump(conn); /* starts a write: does not call the owner */
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
    if (conn->outbox && conn->outbox->waiting.len > 0)
        outbox_pump(conn); /* starts a write: does not call the owner */
}

/* ---- the cork: one buffer per loop, holding the bytes of one connection at a time ---- */

void conn_cork(struct conn *conn)
{
    conn->corks++;
}

void conn_uncork(struct conn *conn)
{
    assert(conn->corks > 0);
    if (--conn->corks == 0)
        conn_flush(conn);
}

static void flush_with(struct conn *conn, const void *data, size_t len)
{
    struct bytes *cork = &conn_loop(conn)->cork;
    conn_loop(conn)->corked = NULL;
    if (cork->len > 0)
        outbox_send(conn, cork->data, cork->len, data, len);
    else
        outbox_send(conn, data, len, NULL, 0);
    bytes_clear(cork);
}

void conn_flush(struct conn *conn)
{
    if (conn_loop(conn)->corked == conn)
        flush_with(conn, NULL, 0);
}

static void cork_write(struct conn *conn, const void *data, size_t len)
{
    struct loop *loop = conn_loop(conn);
    if (loop->corked && loop->corked != conn)
        conn_flush(loop->corked);
    loop->corked = conn;
    if (len >= BIG_WRITE) {
        loop->turn.steps += (uint32_t)(len >> TURN_STEP_BITS);
        flush_with(conn, data, len);
        return;
    }
    bytes_append(&loop->cork, data, len);
    if (loop->cork.len > CORK_MAX)
        conn_flush(conn);
}

bool outbox_is_shut(const struct conn *conn)
{
    return conn->is_broken || conn->is_ended || conn->state != CONN_OPEN;
}

void conn_write(struct conn *conn, const void *data, size_t len)
{
    if (len == 0 || outbox_is_shut(conn))
        return;
    if (conn->corks > 0)
        cork_write(conn, data, len);
    else
        outbox_send(conn, data, len, NULL, 0);
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
    if (conn->outbox)
        unsent +=
            conn->uv.stream.write_queue_size + conn->outbox->waiting.len + conn->outbox->after.len;
    return unsent;
}
