/* Noticing that a peer left while its connection is not being read: libuv does not look at such a
 * socket, and behind unread bytes no end can be seen by reading. So once a second the kernel is
 * asked, 512 sockets with one poll(2), whose POLLRDHUP tells of the end whatever is still unread.
 * Runs over loop->stopped; those looked at wait in loop->swept for the next round. */
#include "net/sweep.h"

#include "net/conn_state.h"
#include "net/outbox.h"

#include <poll.h>

#define SWEEP_MS 1000
#define SWEEP_NEXT_MS 5 /* to the next slice of the same round */
#define SWEEP_SLICE 512

static int take_slice(struct loop *loop, struct conn **conns, struct pollfd *polls)
{
    int count = 0;
    struct list *link;
    while (count < SWEEP_SLICE && (link = list_shift(&loop->stopped)) != NULL) {
        struct conn *conn = container_of(link, struct conn, stopped_link);
        list_push(&loop->swept, link);
        conns[count] = conn;
        polls[count++] = (struct pollfd){.fd = conn_fd(conn), .events = POLLRDHUP};
    }
    return count;
}

static void sweep_slice(struct loop *loop)
{
    struct conn *conns[SWEEP_SLICE];
    struct pollfd polls[SWEEP_SLICE];
    int count = take_slice(loop, conns, polls);
    if (count == 0 || poll(polls, (nfds_t)count, 0) <= 0)
        return;
    for (int i = 0; i < count; i++) {
        /* Others may have been closed by the callbacks before, or go on reading; they are not freed
         * before this turn ends. */
        if (polls[i].revents != 0 && !conns[i]->is_reading && !conns[i]->is_queued)
            conn_gone(conns[i], polls[i].revents & POLLERR ? UV_ECONNRESET : UV_EOF);
    }
}

static void on_sweep(struct deadline *deadline)
{
    struct loop *loop = container_of(deadline, struct loop, sweep);
    if (list_is_empty(&loop->stopped))
        list_take(&loop->stopped, &loop->swept); /* a new round */
    sweep_slice(loop);
    if (!list_is_empty(&loop->stopped)) {
        loop_set_deadline(loop, deadline, SWEEP_NEXT_MS);
    } else if (!list_is_empty(&loop->swept)) {
        loop_set_deadline(loop, deadline, SWEEP_MS);
    }
}

void sweep_watch(struct conn *conn)
{
    struct loop *loop = conn_loop(conn);
    list_push(&loop->swept, &conn->stopped_link);
    if (deadline_is_set(&loop->sweep))
        return;
    deadline_init(&loop->sweep, on_sweep);
    loop_set_deadline(loop, &loop->sweep, SWEEP_MS);
}

void sweep_forget(struct conn *conn)
{
    list_remove(&conn->stopped_link);
}
