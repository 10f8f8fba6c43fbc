/* Sending part of a file: sendfile(2) called directly, a slice per turn. libuv's own would poll
 * inside a thread of its pool, so a few slow clients could stop all file and DNS work. When the
 * socket is full one piece goes out as an ordinary write, whose end is our wait for room. */
#include "net/conn_state.h"
#include "net/outbox.h"

#include <assert.h>
#include <errno.h>
#include <sys/sendfile.h>
#include <unistd.h>

#define SLICE 262144     /* bytes a turn */
#define PIECE 65536      /* bytes copied when the socket is full ... */
#define SMALL_PIECE 2048 /* ... and when loop->output is used up */

static void file_end(struct conn *conn, int err)
{
    struct conn_outbox *outbox = conn->outbox;
    struct conn_file *file = outbox->file;
    struct bytes empty = outbox->waiting;
    outbox->file = NULL;
    outbox->waiting = outbox->after;
    outbox->after = empty;
    file->done(conn, file, err); /* may free it, write, send another file, finish or close */
    if (conn->state != CONN_CLOSING && conn->outbox)
        outbox_pump(conn);
}

static void file_queue(struct conn_file *file)
{
    list_remove(&file->link);
    list_push(&conn_loop(file->conn)->files, &file->link);
}

static void advance(struct conn_file *file, size_t len)
{
    file->offset += len;
    file->left -= len;
}

/* One piece by way of our memory; on_written calls for the next part. */
static void copy_piece(struct conn *conn, struct conn_file *file)
{
    struct bytes *flying = &conn->outbox->flying;
    size_t most = conn_has_room(conn, PIECE) ? PIECE : SMALL_PIECE;
    size_t len = file->left < most ? (size_t)file->left : most;
    ssize_t got;
    bytes_reserve(flying, len);
    do {
        got = pread(file->fd, flying->data, len, (off_t)file->offset);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) {
        file_end(conn, got == 0 ? UV_EOF : -errno);
        return;
    }
    if (!outbox_grow(conn, (size_t)got))
        return;
    flying->len = (size_t)got;
    advance(file, (size_t)got);
    outbox_fly(conn);
}

/* What sendfile could not do: wait, read the file in another way, or give up. */
static void file_trouble(struct conn *conn, struct conn_file *file, int error)
{
    switch (error) {
    case EAGAIN:
    case EINVAL: /* a file system without splice */
    case ENOSYS: copy_piece(conn, file); break;
    case EPIPE:
    case ECONNRESET:
    case ETIMEDOUT: outbox_break(conn, -error); break;
    default: file_end(conn, -error); break;
    }
}

static void send_slice(struct conn_file *file)
{
    struct conn *conn = file->conn;
    size_t budget = SLICE;
    assert(!conn->outbox->is_flying);
    while (budget > 0 && file->left > 0) {
        off_t offset = (off_t)file->offset;
        size_t len = file->left < budget ? (size_t)file->left : budget;
        ssize_t sent = sendfile(conn_fd(conn), file->fd, &offset, len);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0) {
            file_trouble(conn, file, errno);
            return;
        }
        if (sent == 0) {
            file_end(conn, UV_EOF);
            return;
        }
        conn->outbox->has_moved = true;
        advance(file, (size_t)sent);
        budget -= (size_t)sent;
    }
    if (file->left == 0)
        file_end(conn, 0);
    else
        file_queue(file);
}

/* Whoever was sent a slice goes to the tail. */
static void send_slices(struct loop_job *job)
{
    struct loop *loop = container_of(job, struct loop, files_job);
    struct list batch;
    struct list *link;
    turn_begin(&loop->turn, TURN_FILES);
    list_take(&batch, &loop->files);
    while ((link = list_shift(&batch)) != NULL) {
        /* Any file can be gone after this. */
        send_slice(container_of(link, struct conn_file, link));
        if (turn_ends(&loop->turn, TURN_FILES))
            break;
    }
    while ((link = list_shift(&loop->files)) != NULL)
        list_push(&batch, link);
    list_take(&loop->files, &batch);
    loop_cancel_job(job);
    if (!list_is_empty(&loop->files))
        loop_defer_next(loop, job);
}

void conn_file_go_on(struct conn_file *file)
{
    struct loop *loop = conn_loop(file->conn);
    file_queue(file);
    loop->files_job.run = send_slices;
    loop_defer(loop, &loop->files_job);
}

void conn_send_file(struct conn *conn, struct conn_file *file)
{
    assert(conn->state == CONN_OPEN || conn->state == CONN_CLOSING);
    conn_flush(conn);
    file->conn = conn;
    list_init(&file->link);

    struct conn_outbox *outbox = outbox_of(conn);
    assert(outbox->file == NULL && "one file at a time");
    outbox->file = file;
    if (conn->state == CONN_CLOSING)
        return; /* done comes with the end of closing */
    if (conn->is_broken)
        outbox_break(conn, outbox->err ? outbox->err : UV_EPIPE);
    else
        outbox_pump(conn);
}
