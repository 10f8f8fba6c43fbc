/* One stream connection (TCP or UNIX socket): reads into the loop's shared buffer, writes at once
 * what the kernel takes and keeps the rest, closes in two steps. It is a member of the object that
 * owns it. */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "base/list.h"
#include "net/deadline.h"
#include "net/loop.h"

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#define CONN_HIGH_WATER 65536 /* unsent bytes above which writers should wait */
#define CONN_STALL_MS 30000   /* stall_ms of a new connection */

struct conn;
struct conn_outbox; /* what the kernel has not taken yet */
struct conn_linger; /* how long the peer has to end as well */

/* What a connection tells its owner. None is called from inside a conn_... function (on_data,
 * on_gone and on_drained come from the loop), and after conn_finish, conn_linger or conn_close only
 * on_closed follows, after which the owner may free the memory. */
struct conn_events {
    /* `data` is valid during the call. */
    void (*on_data)(struct conn *conn, const char *data, size_t len);
    /* Once: the peer ended its side (UV_EOF), reset it, or a write failed; UV_ETIMEDOUT: it took
     * nothing for stall_ms, on_closed follows; UV_ENOBUFS: loop->output has no room for what it
     * does not take. After UV_EOF writing may still work, nothing more is
     * read. */
    void (*on_gone)(struct conn *conn, int err);
    /* Bytes had to wait and have all reached the kernel (or were dropped, when on_gone was called
     * before). */
    void (*on_drained)(struct conn *conn);
    void (*on_closed)(struct conn *conn); /* last call */
    void (*on_turn)(struct conn *conn);   /* after conn_await_turn; may be NULL without */
};

enum conn_state {
    CONN_OPEN,
    CONN_FINISHING, /* sends the rest, then closes */
    CONN_LINGERING, /* sends the rest, then waits for the peer's end */
    CONN_CLOSING,   /* on_closed comes */
};

/* Kept small: there may be a hundred thousand, and most of them are idle. What only some need is
 * made when they do. */
struct conn {
    union {
        uv_handle_t handle; /* its `data` is the loop */
        uv_stream_t stream;
        uv_tcp_t tcp; /* UNIX sockets too: any stream will do, and uv_pipe_t is larger */
    } uv;
    const struct conn_events *events;
    struct conn_outbox *outbox; /* NULL while everything has been sent */
    struct conn_linger *linger; /* NULL until all has been sent and our side has ended */
    struct list stopped_link;   /* in loop->stopped or loop->swept, or in the queue of the turn */
    uint32_t stall_ms;          /* allowed without progress while bytes wait; 0: for ever */
    uint8_t state;              /* enum conn_state */
    uint8_t corks;              /* conn_cork calls without their conn_uncork */
    bool is_unix : 1;
    bool is_reading : 1; /* as its owner has it */
    bool is_armed : 1;   /* as libuv has it: not while it waits in the queue for long */
    bool is_queued : 1;
    uint8_t weight : 3; /* see turn_weigh */
    bool owes_turn : 1; /* conn_await_turn was called: nothing is read before on_turn */
    /* Set by the owner: the end is told behind everything that was sent, not early. */
    bool is_patient : 1;
    bool is_gone : 1;   /* on_gone was called, or the end was seen while lingering */
    bool is_broken : 1; /* a write failed: all others are dropped */
    bool is_ended : 1;  /* conn_shutdown was called: all other writes are dropped */
};

/* Takes over the connected socket `fd`. On error the fd is closed and the conn may be freed at
 * once. */
int conn_open(struct conn *conn, struct loop *loop, int fd, bool is_unix,
              const struct conn_events *events);
void conn_read_start(struct conn *conn); /* idempotent */
/* on_gone(UV_EOF) still comes, within a second or so, unless is_patient. */
void conn_read_stop(struct conn *conn);
/* The owner has had its share of this turn and keeps the rest of the bytes: on_turn comes when it
 * is this connection's turn again, and no on_data before. Ends with the connection. */
void conn_await_turn(struct conn *conn);
/* Reads what has come, if it is being read. The rule for every deadline that waits for bytes of a
 * peer: it calls this first, and cuts only when that has not ended the wait. So what has arrived is
 * read before a deadline cuts it, also when the loop was held up, or the connection queues. Once,
 * so dripping bytes gain nobody time. */
void conn_catch_up(struct conn *conn);
/* Between cork and uncork all writes of this connection leave in one system call. May be nested. */
void conn_cork(struct conn *conn);
void conn_uncork(struct conn *conn);
void conn_flush(struct conn *conn); /* send what is corked now */
/* Never fails: bytes that cannot be sent any more are dropped and on_gone has been or will be
 * called. */
void conn_write(struct conn *conn, const void *data, size_t len);
/* Sends what the kernel takes now of `count` pieces that lie behind each other and end at `ends`,
 * and keeps the rest of at most one. How many pieces were taken; when not all, on_drained will
 * come. */
int conn_write_pieces(struct conn *conn, const char *data, const size_t *ends, int count);
/* How many of the bytes the kernel takes at once; none while others wait. The rest is the caller's.
 * Errors are told as by conn_write. */
size_t conn_try_write(struct conn *conn, const void *data, size_t len);
/* Whether loop->output has room for so many bytes more of this connection. Without, a write of more
 * than the kernel takes ends it. */
bool conn_has_room(const struct conn *conn, size_t len);
size_t conn_unsent(const struct conn *conn); /* corked bytes included, files not */
/* Sends part of a file; `done` gets 0 or an error (UV_EOF: the file was shorter, UV_ECANCELED:
 * closed), never from inside conn_send_file, always before on_closed. One at a time; what is
 * written meanwhile follows it. */
struct conn_file {
    int fd;
    uint64_t offset;
    uint64_t left;
    void (*done)(struct conn *conn, struct conn_file *file, int err);
    struct conn *conn;
    struct list link; /* in loop->files */
};
/* The caller has set fd, offset, left and done. */
void conn_send_file(struct conn *conn, struct conn_file *file);
void conn_shutdown(struct conn *conn); /* our side ends after what was sent; the peer's may go on */
/* Ways to end. Sends the rest, shutdown(WR), discards input until the peer ends, is quiet for 2 s
 * or loop->linger_ms have passed, closes: */
void conn_linger(struct conn *conn);
/* Sends the rest, then closes; lingers when there is unread input: */
void conn_finish(struct conn *conn);
/* For uv_walk when the loop ends: closes what conn_finish and conn_linger have left to do. */
void conn_cut_ending(uv_handle_t *handle, void *unused);
void conn_reset(struct conn *conn); /* close at once; the peer sees a reset */
void conn_close(struct conn *conn); /* idempotent; unsent bytes are dropped */
void conn_set_receive_buffer(struct conn *conn, int size);
int conn_fd(const struct conn *conn);
bool conn_has_unread(const struct conn *conn); /* something has come that was not read yet */
static inline struct loop *conn_loop(const struct conn *conn)
{
    return conn->uv.handle.data;
}

#endif
