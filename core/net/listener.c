/* Accepting connections on one loop. When descriptors run out it sheds load or waits, and never
 * spins: the unaccepted connection keeps the socket readable. */
#include "net/listener.h"

#include "base/log.h"
#include "base/tally.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_BATCH 64    /* per turn, then the connections get theirs */
#define BACKLOG 4096       /* the kernel caps it at net.core.somaxconn */
#define SHORTAGE_MS 100    /* without accepting when nothing could be evicted */
#define WARN_EVERY_MS 5000 /* of a shortage */

enum accepting { ACCEPT_MORE, ACCEPT_EMPTY, ACCEPT_SHORT };

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void warn_shortage(struct listener *listener, const char *why)
{
    uint64_t now_ms = loop_now_ms(listener->loop);
    if (listener->warned_ms != 0 && now_ms - listener->warned_ms < WARN_EVERY_MS)
        return;
    listener->warned_ms = now_ms;
    log_warn("listener: cannot accept connections: %s; trying again every %d ms", why, SHORTAGE_MS);
}

static enum accepting accept_failed(struct listener *listener, int error)
{
    switch (error) {
    case EAGAIN: return ACCEPT_EMPTY;
    case EBADF:
    case EINVAL:
    case ENOTSOCK: break; /* badly wrong, and will stay so */
    default:
        if (!is_shortage(error))
            return ACCEPT_MORE; /* the end of that one connection, see accept(2) */
    }
    warn_shortage(listener,
                  error == EMFILE ? "too many open files (raise ulimit -n)" : strerror(error));
    return ACCEPT_SHORT;
}

static int accept_next(struct listener *listener)
{
    return accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* Without descriptors accept fails alike when nobody is there: no reason to evict anybody. */
static bool is_anybody_waiting(struct listener *listener)
{
    struct pollfd poll_fd = {.fd = listener->fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) > 0;
}

/* By ending what is idle. */
static bool make_room(struct listener *listener)
{
    return listener->on_shortage && listener->on_shortage(listener);
}

static enum accepting accept_one(struct listener *listener)
{
    /* What a listener that stops has in its backlog is not turned away. */
    if (listener->is_open && listener->is_full && listener->is_full(listener)) {
        if (!is_anybody_waiting(listener))
            return ACCEPT_EMPTY;
        if (!make_room(listener)) {
            warn_shortage(listener, "as many are open as may be (limits.connections)");
            return ACCEPT_SHORT;
        }
    }
    int fd = accept_next(listener);
    if (fd < 0 && is_shortage(errno)) {
        int error = errno;
        if (!is_anybody_waiting(listener))
            return ACCEPT_EMPTY;
        if (!make_room(listener))
            return accept_failed(listener, error);
        fd = accept_next(listener);
    }
    if (fd < 0)
        return accept_failed(listener, errno);
    listener->on_accept(listener, fd); /* may pause or stop the listener */
    return ACCEPT_MORE;
}

static enum accepting accept_batch(struct listener *listener)
{
    struct turn *turn = &listener->loop->turn;
    enum accepting result = ACCEPT_MORE;
    bool is_over = false;
    turn_enter(turn);
    for (int i = 0; i < ACCEPT_BATCH && result == ACCEPT_MORE && !is_over; i++) {
        if (!listener->is_open || listener->is_held || deadline_is_set(&listener->pause))
            return ACCEPT_EMPTY;
        result = accept_one(listener);
        is_over = turn_spend(turn);
    }
    return result;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct listener *listener = container_of(poll, struct listener, poll);
    (void)status, (void)events; /* accept will say what is wrong */
    if (accept_batch(listener) == ACCEPT_SHORT)
        listener_pause(listener, SHORTAGE_MS);
}

static void on_pause_over(struct deadline *deadline)
{
    struct listener *listener = container_of(deadline, struct listener, pause);
    if (!listener->is_held)
        uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

/* SO_REUSEADDR comes this late for a reason that bind_worker knows; our connections inherit it, so
 * that what is left of them does not keep the next server from binding. */
static int begin_listening(int fd)
{
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
        return -errno;
    return listen(fd, BACKLOG) == 0 ? 0 : -errno;
}

int listener_start(struct listener *listener, struct loop *loop, int fd)
{
    listener->loop = loop;
    listener->fd = fd;
    listener->warned_ms = 0;
    listener->on_stopped = NULL;
    deadline_init(&listener->pause, on_pause_over);

    struct address local;
    int err = address_of_local(&local, fd);
    if (err == 0)
        err = begin_listening(fd);
    if (err == 0)
        err = uv_poll_init(&loop->uv, &listener->poll, fd);
    if (err) {
        close(fd);
        return err;
    }
    listener->is_unix = address_is_unix(&local);
    listener->is_open = true;
    listener->is_held = false;
    uv_poll_start(&listener->poll, UV_READABLE, on_readable);
    tally_add(TALLY_LISTENER, 1);
    return 0;
}

void listener_pause(struct listener *listener, uint32_t ms)
{
    if (!listener->is_open)
        return;
    uv_poll_stop(&listener->poll);
    loop_set_deadline(listener->loop, &listener->pause, ms);
}

void listener_hold(struct listener *listener)
{
    if (!listener->is_open)
        return;
    listener->is_held = true;
    uv_poll_stop(&listener->poll);
}

void listener_resume(struct listener *listener)
{
    if (!listener->is_open || !listener->is_held)
        return;
    listener->is_held = false;
    if (!deadline_is_set(&listener->pause))
        uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

static void listener_on_uv_closed(uv_handle_t *handle)
{
    struct listener *listener = container_of((uv_poll_t *)handle, struct listener, poll);
    tally_add(TALLY_LISTENER, -1);
    if (listener->on_stopped)
        listener->on_stopped(listener); /* may free it */
}

/* With a limit, for a flood must not keep us here. */
static void empty_backlog(struct listener *listener)
{
    for (int i = 0; i < BACKLOG; i++) {
        if (accept_one(listener) != ACCEPT_MORE)
            return;
    }
}

static void stop(struct listener *listener, void (*on_stopped)(struct listener *listener),
                 bool empties)
{
    if (!listener->is_open)
        return;
    listener->is_open = false;
    listener->on_stopped = on_stopped;
    loop_clear_deadline(listener->loop, &listener->pause);
    if (empties)
        empty_backlog(listener);
    uv_close((uv_handle_t *)&listener->poll, listener_on_uv_closed);
    close(listener->fd);
}

void listener_stop(struct listener *listener, void (*on_stopped)(struct listener *listener))
{
    stop(listener, on_stopped, true);
}

void listener_leave(struct listener *listener, void (*on_stopped)(struct listener *listener))
{
    stop(listener, on_stopped, false);
}
