/* The cork: what is written between conn_cork and conn_uncork leaves at once. One buffer per loop,
 * holding the bytes of one connection at a time. */
#include "net/outbox.h"

#include <assert.h>

#define CORK_MAX 65536  /* gathered bytes that leave without waiting for uncork */
#define BIG_WRITE 16384 /* not worth copying into the cork */

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

void conn_write(struct conn *conn, const void *data, size_t len)
{
    if (len == 0 || outbox_is_shut(conn))
        return;
    if (conn->corks > 0)
        cork_write(conn, data, len);
    else
        outbox_send(conn, data, len, NULL, 0);
}
