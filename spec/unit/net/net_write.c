/* Tests of writing: the cork, the rest that waits, stalls, and writes that fail. */
#include "net.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LARGE (4 * 1024 * 1024)

static bool has_got(struct bytes *got, const char *text)
{
    return got->len == strlen(text) && memcmp(got->data, text, got->len) == 0;
}

static void test_cork(struct loop *loop)
{
    int a[2], b[2];
    struct peer first = {0}, second = {0};
    struct bytes got_a = {0}, got_b = {0};
    unix_pair(a);
    tcp_pair(b, 0);
    peer_open(&first, loop, a[0], true);
    peer_open(&second, loop, b[0], false);

    conn_cork(&first.conn);
    conn_write(&first.conn, "one ", 4);
    conn_cork(&first.conn);
    conn_write(&first.conn, "two", 3);
    conn_uncork(&first.conn);
    check(read_some(a[1], &got_a, 100) == 0 && conn_unsent(&first.conn) == 7,
          "cork: nothing leaves before the uncork");
    conn_uncork(&first.conn);
    check(read_some(a[1], &got_a, 100) == 7 && has_got(&got_a, "one two") &&
              first.conn.outbox == NULL,
          "cork: all leaves at the last uncork, at once");
    bytes_clear(&got_a);

    conn_cork(&first.conn);
    conn_write(&first.conn, "a", 1);
    conn_cork(&second.conn);
    conn_write(&second.conn, "x", 1);
    conn_write(&first.conn, "b", 1);
    conn_write(&second.conn, "y", 1);
    conn_uncork(&second.conn);
    conn_write(&first.conn, "c", 1);
    conn_uncork(&first.conn);
    UNTIL(loop, read_some(b[1], &got_b, 100) == 0 && got_b.len >= 2);
    read_some(a[1], &got_a, 100);
    check(has_got(&got_a, "abc") && has_got(&got_b, "xy"),
          "cork: those of two connections do not mix");
    bytes_clear(&got_a);

    char *big = mem_alloc(20000);
    fill_pattern(big, 20000, 1);
    conn_cork(&first.conn);
    conn_write(&first.conn, "head", 4);
    conn_write(&first.conn, big, 20000);
    UNTIL(loop, read_some(a[1], &got_a, 65536) == 0 && got_a.len >= 20004);
    check(got_a.len == 20004 && memcmp(got_a.data, "head", 4) == 0 &&
              memcmp(got_a.data + 4, big, 20000) == 0,
          "cork: a big write leaves at once, together with what was gathered");
    conn_write(&first.conn, "lost", 4);
    peer_end(&first, loop);
    conn_uncork(&first.conn);
    check(loop->corked == NULL && loop->cork.len == 0, "cork: closing drops what was gathered");

    mem_free(big);
    bytes_deinit(&got_a);
    bytes_deinit(&got_b);
    peer_end(&second, loop);
    close(a[1]);
    close(b[1]);
}

static void test_partial(struct loop *loop, bool is_unix)
{
    int fds[2];
    struct peer peer = {0};
    struct bytes got = {0};
    char *data = mem_alloc(LARGE);
    fill_pattern(data, LARGE, 2);
    if (is_unix)
        unix_pair(fds);
    else
        tcp_pair(fds, 8192);
    peer_open(&peer, loop, fds[0], is_unix);
    uint32_t deadlines = loop->deadlines.count;

    size_t cut = 0;
    for (size_t i = 1; cut < LARGE; i++) { /* pieces of all sizes, some corked */
        size_t len = i * 7919 % 100000;
        if (len > LARGE - cut)
            len = LARGE - cut;
        if (i % 3 == 0)
            conn_cork(&peer.conn);
        conn_write(&peer.conn, data + cut, len / 3);
        conn_write(&peer.conn, data + cut + len / 3, len - len / 3);
        if (i % 3 == 0)
            conn_uncork(&peer.conn);
        cut += len;
    }
    check(conn_unsent(&peer.conn) > LARGE / 2 && peer.drained == 0,
          "write: what the kernel does not take waits");
    check(loop->deadlines.count == deadlines + 1, "write: while it waits, a stall is watched for");
    for (int i = 0; i < 5; i++)
        turn(loop);
    check(peer.drained == 0, "write: a reader that stalls is waited for");
    UNTIL(loop, read_some(fds[1], &got, 65536) <= 0 && got.len == LARGE && peer.drained);
    check(got.len == LARGE && memcmp(got.data, data, LARGE) == 0,
          "write: partial writes lose and mix nothing");
    check(peer.drained == 1 && peer.conn.outbox == NULL && conn_unsent(&peer.conn) == 0,
          "write: drained comes once, when the kernel has taken all");
    check(loop->deadlines.count == deadlines, "write: nothing waits, no stall is watched for");
    conn_write(&peer.conn, "x", 1);
    turn(loop);
    check(peer.drained == 1, "write: what goes out at once is not reported");

    conn_write(&peer.conn, data, LARGE);
    peer_end(&peer, loop);
    check(peer.closed == 1 && peer.gone == 0, "write: closing drops what waits");
    mem_free(data);
    bytes_deinit(&got);
    close(fds[1]);
}

static void test_stall(struct loop *loop)
{
    int fds[2];
    struct peer peer = {0};
    struct bytes got = {0};
    char *data = mem_calloc(LARGE);
    tcp_pair(fds, 8192);
    peer_open(&peer, loop, fds[0], false);
    peer.conn.stall_ms = 1500;
    conn_write(&peer.conn, data, LARGE / 8);
    uint64_t began_ms = real_ms();
    uint64_t read_ms = began_ms;
    while (real_ms() < began_ms + 2500) { /* slow, not dead */
        turn(loop);
        if (real_ms() > read_ms + 60) {
            read_ms = real_ms();
            read_some(fds[1], &got, 16384);
        }
    }
    check(peer.gone == 0 && peer.closed == 0, "stall: a slow reader is no stalled one");
    began_ms = real_ms();
    UNTIL(loop, peer.closed);
    uint64_t took_ms = real_ms() - began_ms;
    check(peer.gone == 1 && peer.gone_err == UV_ETIMEDOUT && peer.closed == 1,
          "stall: a stalled reader is closed");
    check(took_ms >= 1400, "stall: after stall_ms without progress");
    mem_free(data);
    bytes_deinit(&got);
    bytes_deinit(&peer.got);
    close(fds[1]);
}

static void test_broken(struct loop *loop)
{
    int fds[2];
    struct peer peer = {0};
    struct linger reset = {.l_onoff = 1};
    unix_pair(fds);
    peer_open(&peer, loop, fds[0], true);
    conn_read_stop(&peer.conn);
    close(fds[1]);
    conn_write(&peer.conn, "x", 1);
    conn_write(&peer.conn, "y", 1);
    check(peer.gone == 0, "broken: not reported from inside the write");
    UNTIL(loop, peer.gone);
    check(peer.gone == 1 && peer.gone_err == UV_EPIPE,
          "broken: a failed write is reported once, at the end of the turn");
    conn_write(&peer.conn, "z", 1);
    turn(loop);
    check(peer.gone == 1 && peer.conn.outbox == NULL, "broken: later writes are dropped");
    peer_end(&peer, loop);

    struct peer waiting = {0};
    char *data = mem_calloc(LARGE);
    tcp_pair(fds, 8192);
    peer_open(&waiting, loop, fds[0], false);
    conn_write(&waiting.conn, data, LARGE);
    shutdown(fds[1], SHUT_WR);
    UNTIL(loop, waiting.gone);
    check(waiting.gone_err == UV_EOF && waiting.drained == 0, "broken: (the peer ended its side)");
    setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fds[1]);
    UNTIL(loop, waiting.drained);
    check(waiting.gone == 1 && waiting.drained == 1,
          "broken: after the peer's end, a reset wakes those who wait to write");
    peer_end(&waiting, loop);

    struct peer other = {.closes_when_gone = true};
    tcp_pair(fds, 8192);
    peer_open(&other, loop, fds[0], false);
    conn_write(&other.conn, data, LARGE);
    setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fds[1]);
    UNTIL(loop, other.closed);
    check(other.gone == 1 && other.closed == 1 && other.drained == 0,
          "broken: the owner may close when told");
    bytes_deinit(&other.got);
    mem_free(data);
}

/* Over all connections: what there is no room for ends the connection that wanted it. */
static void test_output(struct loop *loop)
{
    struct quota output;
    struct peer greedy = {0}, modest = {0};
    int a[2], b[2];
    struct bytes got = {0};
    char *data = mem_calloc(LARGE);
    tcp_pair(a, 8192);
    tcp_pair(b, 8192);
    peer_open(&greedy, loop, a[0], false);
    peer_open(&modest, loop, b[0], false);
    quota_init(&output, "limits.output", LARGE);
    loop->output = &output;

    conn_write(&greedy.conn, data, LARGE);
    size_t used = quota_used(&output);
    check(used > LARGE / 2 && used <= LARGE, "output: what waits is counted");
    check(conn_has_room(&greedy.conn, LARGE - used) && !conn_has_room(&greedy.conn, LARGE),
          "output: it is known how much there is room for");
    conn_write(&greedy.conn, data, LARGE);
    check(greedy.gone == 0 && conn_unsent(&greedy.conn) <= LARGE && quota_used(&output) == used,
          "output: what there is no room for is dropped, with all that followed");
    UNTIL(loop, greedy.closed);
    check(greedy.gone == 1 && greedy.gone_err == UV_ENOBUFS && greedy.closed == 1 &&
              quota_used(&output) == 0,
          "output: the connection ends, and its room is free");

    quota_init(&output, "limits.output", QUOTA_FREE);
    conn_write(&modest.conn, data, LARGE);
    check(modest.gone == 0 && modest.conn.is_broken, "output: so does one that holds nothing yet");
    UNTIL(loop, modest.gone);
    check(modest.gone_err == UV_ENOBUFS && modest.conn.outbox == NULL && quota_used(&output) == 0,
          "output: its owner may close it");
    peer_end(&modest, loop);
    close(b[1]);

    struct peer small = {0};
    tcp_pair(b, 8192);
    peer_open(&small, loop, b[0], false);
    size_t sent = 0;
    for (; conn_unsent(&small.conn) == 0; sent += 1000)
        conn_write(&small.conn, data, 1000);
    check(!small.conn.is_broken && quota_used(&output) == 0,
          "output: each connection has a little for itself");
    UNTIL(loop, read_some(b[1], &got, 65536) <= 0 && got.len == sent && small.drained);
    check(got.len == sent && small.gone == 0, "output: which arrives");
    peer_end(&small, loop);

    loop->output = NULL;
    bytes_deinit(&got);
    mem_free(data);
    close(a[1]);
    close(b[1]);
}

void test_write(void)
{
    struct loop loop;
    loop_init(&loop, NULL);
    test_cork(&loop);
    test_partial(&loop, false);
    test_partial(&loop, true);
    test_stall(&loop);
    test_broken(&loop);
    test_output(&loop);
    loop_deinit(&loop);
}
