/* An outgoing connection (TCP or UNIX socket) in the making: look the name up, try its addresses,
 * all within one time limit. It is a member of (or beside) the conn it is made for; what comes out
 * is a connected socket for conn_open. */
#ifndef NET_CLIENT_H
#define NET_CLIENT_H

#include "net/loop.h"

#include <netdb.h>

struct client;
struct lookup;
/* A connected, non-blocking socket, or the error: UV_ETIMEDOUT, UV_ECANCELED, UV_EAI_...,
 * UV_ECONNREFUSED ... */
typedef void (*client_fn)(struct client *client, int fd_or_err);

struct client {
    struct loop *loop;
    client_fn on_done; /* once, never from inside a client_... function; then client may be freed */
    struct lookup *lookup;         /* in the thread pool, NULL: not */
    struct addrinfo *found;        /* what the lookup gave */
    const struct addrinfo *trying; /* the address being tried now */
    uv_poll_t poll;                /* on `fd`, active while is_polling */
    int fd;                        /* being connected, -1: none */
    int result;                    /* for on_done */
    bool is_polling;
    bool is_done; /* only on_done is left to come */
    struct deadline limit;
    struct loop_job finish;
};

/* `host` is a name, a numeric address or "unix:PATH" (`port` is ignored), and is copied. */
void client_connect(struct client *client, struct loop *loop, const char *host, uint16_t port,
                    uint32_t limit_ms, client_fn on_done);
/* on_done gets UV_ECANCELED, unless it has something better already. */
void client_cancel(struct client *client);

#endif
