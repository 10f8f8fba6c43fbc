/* Readiness of a descriptor, by libuv's uv_poll_t. */
#include "net/poller.h"

#include "base/list.h"

#include <assert.h>

int poller_open(struct poller *poller, struct loop *loop, int fd, poller_ready_fn on_ready)
{
    poller->on_ready = on_ready;
    poller->on_closed = NULL;
    return uv_poll_init(&loop->uv, &poller->poll, fd);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct poller *poller = container_of(poll, struct poller, poll);
    int ready = 0;
    if (status < 0)
        ready = POLLER_READ | POLLER_WRITE;
    if (events & UV_READABLE)
        ready |= POLLER_READ;
    if (events & UV_WRITABLE)
        ready |= POLLER_WRITE;
    poller->on_ready(poller, ready); /* may close it */
}

void poller_want(struct poller *poller, int wanted)
{
    int events = 0;
    assert(!uv_is_closing((uv_handle_t *)&poller->poll));
    if (wanted & POLLER_READ)
        events |= UV_READABLE;
    if (wanted & POLLER_WRITE)
        events |= UV_WRITABLE;
    if (events)
        uv_poll_start(&poller->poll, events, on_poll);
    else
        uv_poll_stop(&poller->poll);
}

static void poller_on_uv_closed(uv_handle_t *handle)
{
    struct poller *poller = container_of((uv_poll_t *)handle, struct poller, poll);
    if (poller->on_closed)
        poller->on_closed(poller);
}

void poller_close(struct poller *poller, poller_closed_fn on_closed)
{
    poller->on_closed = on_closed;
    uv_close((uv_handle_t *)&poller->poll, poller_on_uv_closed);
}
