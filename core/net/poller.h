/* Tells when a file descriptor that a library owns (hiredis, libpq, libcurl, a TLS socket) can be
 * read or written. It is a member of whoever wants to know; the descriptor stays the library's. */
#ifndef NET_POLLER_H
#define NET_POLLER_H

#include "net/loop.h"

#include <stdbool.h>
#include <uv.h>

struct poller;

enum { POLLER_READ = 1, POLLER_WRITE = 2 };

/* `ready` has POLLER_READ, POLLER_WRITE or both; on an error both, for the library to find it out.
 * May close the poller, not free it. */
typedef void (*poller_ready_fn)(struct poller *poller, int ready);
typedef void (*poller_closed_fn)(struct poller *poller); /* last call: the memory may go */

struct poller {
    uv_poll_t poll;
    poller_ready_fn on_ready;
    poller_closed_fn on_closed;
};

/* It watches for nothing yet. On error there is nothing to close. */
int poller_open(struct poller *poller, struct loop *loop, int fd, poller_ready_fn on_ready);
void poller_want(struct poller *poller, int wanted); /* 0: nothing, for now */
/* Before the descriptor is closed. on_closed (may be NULL) comes later, from the loop. */
void poller_close(struct poller *poller, poller_closed_fn on_closed);

#endif
