/* A listening socket. Binding happens once per server, on the main thread; each worker then accepts
 * from a socket of its own on the same port (SO_REUSEPORT), or from the one UNIX socket that all
 * share. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "net/address.h"
#include "net/loop.h"

struct listener;
typedef void (*listener_fn)(struct listener *listener, int fd); /* a new socket, non-blocking */

/* Binds for `count` workers: fds[0..count-1], all listening only after listener_start. First
 * without SO_REUSEPORT, so that a second server on the port fails (-EADDRINUSE); port 0 is resolved
 * once into `addr`. On error no fd is left open. */
int listener_bind(struct address *addr, int count, int *fds);
/* Removes the file of a UNIX socket, when all have stopped. */
void listener_unlink(const struct address *addr);

struct listener {
    uv_poll_t poll;
    struct loop *loop;
    int fd;
    bool is_unix;
    bool is_open;
    bool is_held;
    struct deadline pause; /* after EMFILE: try again then */
    uint64_t warned_ms;    /* when the last shortage was logged */
    listener_fn on_accept;
    /* Whether no more should be open. May be NULL. */
    bool (*is_full)(struct listener *listener);
    /* Full, or out of descriptors: evict something idle, true if done. May be NULL. */
    bool (*on_shortage)(struct listener *listener);
    void (*on_stopped)(struct listener *listener); /* last call */
    void *owner;
};

/* Takes over `fd`. on_accept, is_full, on_shortage and owner are set before; the rest is set here.
 * On error the fd is closed and the listener may be freed at once. */
int listener_start(struct listener *listener, struct loop *loop, int fd);
void listener_pause(struct listener *listener, uint32_t ms); /* stop accepting for a while */
void listener_hold(struct listener *listener);               /* ... until listener_resume */
void listener_resume(struct listener *listener);             /* no effect while it is not held */
/* Stops accepting; connections already in the backlog are accepted first (on_accept is called from
 * inside). Shared sockets stay for others. on_stopped may be NULL. */
void listener_stop(struct listener *listener, void (*on_stopped)(struct listener *listener));
/* The same, but leaves the backlog to others, who have the same socket. */
void listener_leave(struct listener *listener, void (*on_stopped)(struct listener *listener));

#endif
