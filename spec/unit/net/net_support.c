/* Sockets and peers for the tests of core/net. */
#include "net.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t real_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void on_tick(struct deadline *deadline)
{
    (void)deadline;
}

void turn(struct loop *loop)
{
    struct deadline tick;
    deadline_init(&tick, on_tick);
    loop_set_deadline(loop, &tick, 5);
    uv_run(&loop->uv, UV_RUN_ONCE);
    loop_clear_deadline(loop, &tick);
}

static void set_buffers(int fd, int size)
{
    if (size == 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

void tcp_pair(int fds[2], int buffer)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    set_buffers(listening, buffer); /* accepted sockets inherit them */
    int err = bind(listening, (struct sockaddr *)&addr, len) || listen(listening, 1) ||
              getsockname(listening, (struct sockaddr *)&addr, &len);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    set_buffers(fds[1], buffer);
    err = err || connect(fds[1], (struct sockaddr *)&addr, len);
    fds[0] = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert(err == 0 && fds[0] >= 0);
    (void)err;
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    close(listening);
}

void unix_pair(int fds[2])
{
    int err = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds);
    assert(err == 0);
    (void)err;
}

int read_some(int fd, struct bytes *into, size_t limit)
{
    char buf[65536];
    ssize_t got = recv(fd, buf, limit < sizeof(buf) ? limit : sizeof(buf), MSG_DONTWAIT);
    if (got > 0)
        bytes_append(into, buf, (size_t)got);
    if (got == 0)
        return -1;
    if (got < 0)
        return errno == EAGAIN ? 0 : -2;
    return (int)got;
}

void fill_pattern(char *data, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525 + 1013904223;
        data[i] = (char)(seed >> 24);
    }
}

static void on_data(struct conn *conn, const char *data, size_t len)
{
    struct peer *peer = container_of(conn, struct peer, conn);
    bytes_append(&peer->got, data, len);
    if (peer->on_data)
        peer->on_data(peer);
}

static void on_gone(struct conn *conn, int err)
{
    struct peer *peer = container_of(conn, struct peer, conn);
    peer->gone++;
    peer->gone_err = err;
    if (peer->closes_when_gone)
        conn_close(conn);
}

static void on_drained(struct conn *conn)
{
    container_of(conn, struct peer, conn)->drained++;
}

static void on_closed(struct conn *conn)
{
    container_of(conn, struct peer, conn)->closed++;
}

static const struct conn_events peer_events = {
    .on_data = on_data,
    .on_gone = on_gone,
    .on_drained = on_drained,
    .on_closed = on_closed,
};

void peer_open(struct peer *peer, struct loop *loop, int fd, bool is_unix)
{
    int err = conn_open(&peer->conn, loop, fd, is_unix, &peer_events);
    assert(err == 0);
    (void)err;
    conn_read_start(&peer->conn);
}

void peer_end(struct peer *peer, struct loop *loop)
{
    conn_close(&peer->conn);
    UNTIL(loop, peer->closed);
    bytes_deinit(&peer->got);
}
