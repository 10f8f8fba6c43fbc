/* Tests of how connections end: finish, linger, close, and noticing that the peer left. */
#include "net.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER 300000

static void send_bytes(int fd, size_t len)
{
    static char zeros[65536];
    while (len > 0) {
        ssize_t sent = send(fd, zeros, len < sizeof(zeros) ? len : sizeof(zeros), MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        len -= (size_t)sent;
    }
}

static void reset_and_close(int fd)
{
    struct linger reset = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
}

/* What comes out at the peer's end: reads to the end, true when it was a clean one. */
static bool reads_to_end(struct loop *loop, int fd, struct bytes *got)
{
    int result = 0;
    UNTIL(loop, (result = read_some(fd, got, 65536)) < 0);
    return result == -1;
}

static void on_data_finish(struct peer *peer)
{
    conn_cork(&peer->conn);
    conn_write(&peer->conn, "answer", 6);
    conn_finish(&peer->conn);
    conn_write(&peer->conn, "never", 5);
    conn_uncork(&peer->conn);
}

static void test_finish(struct loop *loop)
{
    int fds[2];
    struct bytes got = {0};
    struct peer peer = {.on_data = on_data_finish};
    tcp_pair(fds, 0);
    peer_open(&peer, loop, fds[0], false);
    send_bytes(fds[1], 1);
    check(reads_to_end(loop, fds[1], &got) && got.len == 6,
          "finish: sends what was corked, then closes");
    UNTIL(loop, peer.closed);
    check(peer.closed == 1 && peer.gone == 0 && peer.drained == 0, "finish: only closed follows");
    bytes_deinit(&peer.got);
    close(fds[1]);

    struct peer large = {0};
    char *data = mem_alloc(ANSWER);
    fill_pattern(data, ANSWER, 3);
    bytes_clear(&got);
    tcp_pair(fds, 8192);
    peer_open(&large, loop, fds[0], false);
    conn_write(&large.conn, data, ANSWER);
    conn_finish(&large.conn);
    check(reads_to_end(loop, fds[1], &got) && got.len == ANSWER &&
              memcmp(got.data, data, ANSWER) == 0,
          "finish: waits until everything has been sent");
    UNTIL(loop, large.closed);
    close(fds[1]);

    struct peer unread = {0};
    bytes_clear(&got);
    tcp_pair(fds, 0);
    peer_open(&unread, loop, fds[0], false);
    conn_read_stop(&unread.conn);
    send_bytes(fds[1], 1000);
    conn_write(&unread.conn, "answer", 6);
    conn_finish(&unread.conn);
    check(unread.conn.state == CONN_LINGERING, "finish: unread input makes it linger");
    check(reads_to_end(loop, fds[1], &got) && got.len == 6,
          "finish: unread input does not cost the peer its answer");
    close(fds[1]);
    UNTIL(loop, unread.closed);
    check(unread.closed == 1 && unread.got.len == 0, "finish: what is discarded is not told");
    bytes_deinit(&got);
    mem_free(data);
}

static void test_linger(struct loop *loop)
{
    int fds[2];
    struct bytes got = {0};
    struct peer peer = {0};
    char *data = mem_alloc(ANSWER);
    fill_pattern(data, ANSWER, 4);
    tcp_pair(fds, 16384);
    peer_open(&peer, loop, fds[0], false);
    conn_write(&peer.conn, data, ANSWER);
    send_bytes(fds[1], 8000);
    conn_linger(&peer.conn);
    send_bytes(fds[1], 8000);
    check(reads_to_end(loop, fds[1], &got) && got.len == ANSWER &&
              memcmp(got.data, data, ANSWER) == 0,
          "linger: the answer arrives whole while the peer still sends");
    uint64_t began_ms = real_ms();
    close(fds[1]);
    UNTIL(loop, peer.closed);
    check(peer.closed && real_ms() - began_ms < 1900 && peer.gone == 0,
          "linger: ends when the peer does");

    struct peer patient = {0};
    tcp_pair(fds, 0);
    peer_open(&patient, loop, fds[0], false);
    began_ms = real_ms();
    conn_linger(&patient.conn);
    UNTIL(loop, patient.closed);
    check(real_ms() - began_ms >= 1990, "linger: ends when the peer was quiet for two seconds");
    close(fds[1]);

    struct peer flooded = {0};
    tcp_pair(fds, 0);
    peer_open(&flooded, loop, fds[0], false);
    loop->linger_ms = 300;
    conn_linger(&flooded.conn);
    began_ms = real_ms();
    UNTIL(loop, (send_bytes(fds[1], 16384), flooded.closed));
    check(real_ms() - began_ms >= 290, "linger: ends in time while the peer goes on sending");
    loop->linger_ms = LOOP_LINGER_MS;
    close(fds[1]);

    struct peer half = {0};
    bytes_clear(&got);
    tcp_pair(fds, 8192);
    peer_open(&half, loop, fds[0], false);
    conn_write(&half.conn, data, ANSWER);
    shutdown(fds[1], SHUT_WR);
    conn_linger(&half.conn);
    check(reads_to_end(loop, fds[1], &got) && got.len == ANSWER,
          "linger: a peer that ended its side gets its answer");
    began_ms = real_ms();
    UNTIL(loop, half.closed);
    check(half.closed && real_ms() - began_ms < 1900, "linger: and nothing more is waited for");
    close(fds[1]);
    bytes_deinit(&got);
    mem_free(data);
}

/* Ways to leave while the connection is not being read. */
static const struct leaver {
    bool is_unix, resets;
    size_t unread;
    int err; /* that is told */
    const char *sentence;
} leavers[] = {
    {false, false, 0, UV_EOF, "leaving: noticed while reading is stopped, told once"},
    {false, false, 1000, UV_EOF, "leaving: noticed behind unread bytes"},
    {false, true, 0, UV_ECONNRESET, "leaving: a reset is noticed"},
    {true, false, 1000, UV_EOF, "leaving: noticed on a UNIX socket"},
};
#define LEAVERS (sizeof(leavers) / sizeof(leavers[0]))

static void stop_and_leave(struct peer *peer, struct loop *loop, const struct leaver *leaver)
{
    int fds[2];
    if (leaver->is_unix)
        unix_pair(fds);
    else
        tcp_pair(fds, 0);
    peer_open(peer, loop, fds[0], leaver->is_unix);
    conn_read_stop(&peer->conn);
    conn_read_start(&peer->conn);
    conn_read_stop(&peer->conn);
    send_bytes(fds[1], leaver->unread);
    if (leaver->resets)
        reset_and_close(fds[1]);
    else
        close(fds[1]);
}

static void test_stopped_leaving(struct loop *loop)
{
    struct peer peers[LEAVERS] = {0};
    for (size_t i = 0; i < LEAVERS; i++)
        stop_and_leave(&peers[i], loop, &leavers[i]);
    uint64_t until_ms = real_ms() + 2200; /* two rounds */
    while (real_ms() < until_ms)
        turn(loop);
    for (size_t i = 0; i < LEAVERS; i++) {
        check(peers[i].gone == 1 && peers[i].gone_err == leavers[i].err && peers[i].got.len == 0,
              leavers[i].sentence);
        peer_end(&peers[i], loop);
    }
    UNTIL(loop, !deadline_is_set(&loop->sweep));
    check(!deadline_is_set(&loop->sweep), "leaving: nothing is swept when all are reading");
}

static void test_leaving(struct loop *loop)
{
    int fds[2];
    test_stopped_leaving(loop);
    struct peer reading = {0};
    tcp_pair(fds, 0);
    peer_open(&reading, loop, fds[0], false);
    send_bytes(fds[1], 3);
    reset_and_close(fds[1]);
    UNTIL(loop, reading.gone);
    check(reading.gone == 1 && reading.got.len == 3,
          "leaving: a reset while reading, after what came before it");
    conn_write(&reading.conn, "x", 1);
    UNTIL(loop, reading.conn.outbox == NULL);
    conn_read_start(&reading.conn);
    turn(loop);
    check(reading.gone == 1, "leaving: told once, whatever is tried after");
    peer_end(&reading, loop);
}

#define CROWD 700 /* more than one slice of the sweep */

static struct peer *crowd_of(struct loop *loop, int *others)
{
    struct peer *crowd = mem_calloc(CROWD * sizeof(*crowd));
    for (int i = 0; i < CROWD; i++) {
        int fds[2];
        unix_pair(fds);
        crowd[i].closes_when_gone = true;
        peer_open(&crowd[i], loop, fds[0], true);
        conn_read_stop(&crowd[i].conn);
        others[i] = fds[1];
    }
    return crowd;
}

static int count_closed(const struct peer *crowd, int first, int step)
{
    int count = 0;
    for (int i = first; i < CROWD; i += step)
        count += crowd[i].closed;
    return count;
}

static void test_crowd(struct loop *loop)
{
    static int others[CROWD];
    struct peer *crowd = crowd_of(loop, others);
    for (int i = 0; i < CROWD; i += 2)
        close(others[i]);
    UNTIL(loop, count_closed(crowd, 0, 2) == CROWD / 2);
    check(count_closed(crowd, 0, 2) == CROWD / 2 && count_closed(crowd, 1, 2) == 0,
          "leaving: of a crowd, those who left are noticed and may be closed at once");
    for (int i = 1; i < CROWD; i += 2) {
        conn_close(&crowd[i].conn);
        close(others[i]);
    }
    UNTIL(loop, count_closed(crowd, 1, 2) == CROWD / 2);
    check(list_is_empty(&loop->stopped) && list_is_empty(&loop->swept),
          "close: takes the connection out of all lists");
    mem_free(crowd);
}

static void on_data_close(struct peer *peer)
{
    conn_write(&peer->conn, "bye", 3);
    conn_close(&peer->conn);
    conn_close(&peer->conn);
    conn_finish(&peer->conn);
    conn_linger(&peer->conn);
    conn_read_start(&peer->conn);
}

static void test_close(struct loop *loop)
{
    int fds[2];
    struct bytes got = {0};
    struct peer peer = {.on_data = on_data_close};
    tcp_pair(fds, 0);
    peer_open(&peer, loop, fds[0], false);
    send_bytes(fds[1], 1);
    check(reads_to_end(loop, fds[1], &got) && got.len == 3, "close: from inside on_data");
    UNTIL(loop, peer.closed);
    turn(loop);
    check(peer.closed == 1 && peer.gone == 0, "close: doing it again does nothing");
    bytes_deinit(&peer.got);
    bytes_deinit(&got);
    close(fds[1]);

    int pipe_fds[2];
    check(pipe(pipe_fds) == 0 &&
              conn_open(&peer.conn, loop, pipe_fds[0], false, NULL) == UV_ENOTSOCK,
          "open: something else than a socket is refused");
    close(pipe_fds[1]);
}

static void test_shutdown(struct loop *loop)
{
    int fds[2];
    struct bytes got = {0};
    struct peer peer = {0};
    char *data = mem_alloc(ANSWER);
    fill_pattern(data, ANSWER, 6);
    tcp_pair(fds, 8192);
    peer_open(&peer, loop, fds[0], false);
    conn_write(&peer.conn, data, ANSWER);
    conn_shutdown(&peer.conn);
    conn_write(&peer.conn, "never", 5);
    check(reads_to_end(loop, fds[1], &got) && got.len == ANSWER &&
              memcmp(got.data, data, ANSWER) == 0,
          "shutdown: our side ends after what was written");
    send_bytes(fds[1], 10);
    UNTIL(loop, peer.got.len == 10);
    check(peer.got.len == 10 && peer.gone == 0, "shutdown: the peer's side goes on");
    conn_reset(&peer.conn);
    UNTIL(loop, peer.closed);
    check(send(fds[1], "x", 1, MSG_NOSIGNAL) < 0, "reset: the peer sees it");
    bytes_deinit(&peer.got);
    bytes_deinit(&got);
    mem_free(data);
    close(fds[1]);
}

static void test_loop_ends(void)
{
    int fds[2];
    int stuck_fds[2];
    struct loop loop;
    struct peer lingering = {0};
    struct peer finishing = {0};
    char *data = mem_calloc(ANSWER);
    loop_init(&loop, NULL);
    tcp_pair(fds, 0);
    tcp_pair(stuck_fds, 8192);
    peer_open(&lingering, &loop, fds[0], false);
    peer_open(&finishing, &loop, stuck_fds[0], false);
    conn_linger(&lingering.conn);
    conn_write(&finishing.conn, data, ANSWER);
    conn_finish(&finishing.conn);
    turn(&loop);
    check(!lingering.closed && !finishing.closed, "loop: these two would take their time");
    loop_deinit(&loop);
    check(lingering.closed == 1 && finishing.closed == 1, "loop: its end cuts them off");
    close(fds[1]);
    close(stuck_fds[1]);
    mem_free(data);
}

void test_end(void)
{
    struct loop loop;
    test_loop_ends();
    loop_init(&loop, NULL);
    test_finish(&loop);
    test_linger(&loop);
    test_leaving(&loop);
    test_crowd(&loop);
    test_close(&loop);
    test_shutdown(&loop);
    loop_deinit(&loop);
}
