/* Tests of what a turn may cost: who is served first, and what is put off. None looks at a clock:
 * they count who came before whom, and turns. */
#include "net.h"

#include "net/outbox.h"

#include <assert.h>
#include <unistd.h>

#define CROWD 50
#define REST (400 * 1024) /* more than a UNIX socket takes at once */

/* A connection that waits for its turn, and when it had it. */
struct waiter {
    struct conn conn;
    int other_end;
    int place; /* 1: served first; 0: not yet */
    bool is_closed;
};

static int served;

static void on_turn(struct conn *conn)
{
    container_of(conn, struct waiter, conn)->place = ++served;
}

static void on_closed(struct conn *conn)
{
    container_of(conn, struct waiter, conn)->is_closed = true;
}

static const struct conn_events waiter_events = {.on_turn = on_turn, .on_closed = on_closed};

static void waiters_open(struct waiter *waiters, int count, struct loop *loop)
{
    served = 0;
    for (int i = 0; i < count; i++) {
        int fds[2];
        unix_pair(fds);
        waiters[i] = (struct waiter){.other_end = fds[1]};
        int err = conn_open(&waiters[i].conn, loop, fds[0], true, &waiter_events);
        assert(err == 0);
        (void)err;
    }
}

static void waiters_close(struct waiter *waiters, int count, struct loop *loop)
{
    for (int i = 0; i < count; i++) {
        conn_close(&waiters[i].conn);
        UNTIL(loop, waiters[i].is_closed);
        close(waiters[i].other_end);
    }
}

/* It leaves a rest, which its turn ends, so many times; then once more. */
static void leave_rests(struct waiter *waiter, int before)
{
    for (int i = 0; i < before; i++)
        turn_weigh(&waiter->conn, true);
    conn_await_turn(&waiter->conn);
}

/* The heavy ones came first; so many of them were served before the last of the light. */
static int heavy_before(const struct waiter *heavy, int count, const struct waiter *light)
{
    int before = 0;
    for (int i = 0; i < count; i++)
        before += heavy[i].place < light->place;
    return before;
}

static void test_light(struct loop *loop)
{
    enum { HEAVY = 8, LIGHT = 3, ALL = HEAVY + LIGHT };
    struct waiter waiters[ALL];
    struct waiter *light = waiters + HEAVY;
    waiters_open(waiters, ALL, loop);
    for (int i = 0; i < HEAVY; i++)
        leave_rests(&waiters[i], 1);
    for (int i = 0; i < LIGHT; i++)
        leave_rests(&light[i], 0);
    UNTIL(loop, served == ALL);

    bool is_alternate = true;
    bool is_in_order = true;
    for (int i = 0; i < LIGHT; i++) {
        is_alternate = is_alternate && heavy_before(waiters, HEAVY, &light[i]) <= i;
        is_in_order = is_in_order && (i == 0 || light[i - 1].place < light[i].place);
    }
    for (int i = 1; i < HEAVY; i++)
        is_in_order = is_in_order && waiters[i - 1].place < waiters[i].place;
    check(is_alternate, "turn: who left a rest once goes before those who did it more often");
    check(is_in_order, "turn: those of one kind are served in the order in which they came");
    waiters_close(waiters, ALL, loop);
}

static void test_heavy(struct loop *loop)
{
    struct waiter waiters[4];
    waiters_open(waiters, 4, loop);
    leave_rests(&waiters[0], 1);
    leave_rests(&waiters[1], 1);
    leave_rests(&waiters[2], 0);
    UNTIL(loop, served == 3);
    check(waiters[0].place > 0 && waiters[1].place > 0, "turn: the heavy ones have theirs as well");
    for (int i = 0; i < 4; i++)
        turn_weigh(&waiters[1].conn, false); /* it asked for little since */
    leave_rests(&waiters[3], 1);
    leave_rests(&waiters[1], 0);
    waiters[1].place = 0;
    UNTIL(loop, served == 5);
    check(waiters[1].place < waiters[3].place, "turn: who asks for little is light again");
    waiters_close(waiters, 4, loop);
}

/* Whoever was read has room, all in the same turn. */
static void test_room(struct loop *loop)
{
    static struct peer peers[CROWD];
    int ends[CROWD];
    struct bytes got = {0};
    char *data = mem_calloc(REST);
    for (int i = 0; i < CROWD; i++) {
        int fds[2];
        unix_pair(fds);
        ends[i] = fds[1];
        peer_open(&peers[i], loop, fds[0], true);
        conn_write(&peers[i].conn, data, REST);
    }
    turn(loop);
    for (int i = 0; i < CROWD; i++) {
        while (read_some(ends[i], &got, 65536) > 0)
            bytes_clear(&got);
    }
    turn(loop);
    int drained = 0;
    for (int i = 0; i < CROWD; i++)
        drained += peers[i].drained;
    check(drained < CROWD, "turn: not all that has room is sent in one");
    for (int i = 0; i < CROWD; i++)
        UNTIL(loop, peers[i].drained || (read_some(ends[i], &got, 65536) < 0));
    check(peers[0].drained == 1 && peers[CROWD - 1].drained == 1,
          "turn: it is sent in the next ones");
    for (int i = 0; i < CROWD; i++) {
        peer_end(&peers[i], loop);
        close(ends[i]);
    }
    bytes_deinit(&got);
    mem_free(data);
}

void test_turn(void)
{
    struct loop loop;
    loop_init(&loop, NULL);
    test_light(&loop);
    test_heavy(&loop);
    test_room(&loop);
    loop_deinit(&loop);
}
