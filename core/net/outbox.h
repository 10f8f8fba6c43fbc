/* What a connection has written and the kernel has not taken yet, and the file it is sending. Made
 * when it is needed and freed when empty, so an idle connection carries a pointer only. Private to
 * core/net. */
#ifndef NET_OUTBOX_H
#define NET_OUTBOX_H

#include "net/conn.h"

/* Bytes leave in this order: `flying`, `waiting`, the file, `after`. Outside of outbox.c and
 * sendfile.c, but for a file's `done`, this holds:
 * - One that is not broken is busy (outbox_is_busy). What empties it frees it, and tells on_drained
 *   when bytes of the owner had waited.
 * - Nobody sends past libuv while it is busy, but the file when it is the file's turn.
 * - `waiting` has bytes only while is_flying. While there is a file it gets no more: these go to
 *   `after`, which has bytes only then, and becomes `waiting` when the file has ended.
 * - `flying` has bytes only while is_flying, or when it is broken.
 * - `kept` is the length of all three together. */
struct conn_outbox {
    struct conn *conn;
    uv_write_t request;     /* sends a piece of `flying`; at most one at a time */
    struct bytes flying;    /* must not move while is_flying; not empty: it is under way */
    size_t flown;           /* so many of its bytes have left */
    struct list link;       /* in loop->roomy: the kernel takes more of `flying` */
    struct bytes waiting;   /* follows `flying` */
    struct conn_file *file; /* follows `waiting`; NULL: none */
    struct bytes after;     /* written while there is a file: follows it */
    size_t kept;            /* bytes in all of these: what loop->output counts */
    struct deadline stall;  /* when to look whether the peer still takes bytes */
    struct loop_job report; /* tells the owner about `err` at the end of the turn */
    int err;
    bool is_flying;       /* libuv has the request */
    bool owes_drained;    /* bytes of the owner's waited here */
    bool has_moved;       /* the kernel took bytes since the last stall check */
    uint8_t quiet_checks; /* stall checks in a row that saw nothing move */
    size_t seen_queued;   /* by the last stall check: bytes libuv has not sent ... */
    int seen_unacked;     /* ... and bytes the peer has not acknowledged */
};

struct conn_outbox *outbox_of(struct conn *conn); /* makes one when there is none */
bool outbox_is_busy(const struct conn *conn);
bool outbox_is_shut(const struct conn *conn); /* all that is written is dropped */
/* Asks loop->output for so many bytes more. False: there is no room, and the connection breaks. */
bool outbox_grow(struct conn *conn, size_t len);
/* Sends now what the kernel takes, keeps the rest. */
void outbox_send(struct conn *conn, const void *head, size_t head_len, const void *body,
                 size_t body_len);
/* Keeps it all, so that on_drained comes, also when the kernel would take it. */
void outbox_queue(struct conn *conn, const void *data, size_t len);
void outbox_fly(struct conn *conn);  /* the kernel is full: on with `flying` when it is not */
void outbox_pump(struct conn *conn); /* go on with what is next; may call the owner */
void outbox_break(struct conn *conn, int err); /* drop all, report at the end of the turn */
/* Closing: it stays until libuv gives its write request back. */
void outbox_stop(struct conn *conn);
void outbox_free(struct conn *conn);

#endif
