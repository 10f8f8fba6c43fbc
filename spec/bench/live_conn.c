/* The connections of live_client: subscribers of every kind, and those that ask for something. */
#include "live_conn.h"

#include "live_message.h"
#include "live_parse.h"

#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_MAX = 256 * 1024,
    EVENTS = 64,              /* few, so that what has its time is not late */
    CONNS_PER_ADDRESS = 8000, /* then the next of 127.0.0.x, before the ports run short */
};

struct tally tally;

static struct {
    int epoll, port, opened;
    char in[READ_MAX];
} conns;

void conns_open(int port)
{
    conns.port = port;
    conns.epoll = epoll_create1(EPOLL_CLOEXEC);
}

/* --- requests --------------------------------------------------------------------------------- */

void conn_send(struct conn *conn, const char *bytes, size_t size)
{
    if (send(conn->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
        err(1, "the server does not take a request");
}

void conn_ask(struct conn *conn)
{
    static const char request[] = "GET /hello HTTP/1.1\r\nHost: bench\r\n\r\n";
    conn->is_waiting = true;
    if (conn->kind == CONN_PROBE)
        conn->asked_ns = clock_ns(CLOCK_REALTIME);
    conn_send(conn, request, sizeof(request) - 1);
}

static void conn_poll(struct conn *conn, const struct answer *last)
{
    char request[1024];
    int size;
    if (!last || last->cursor[0])
        size = snprintf(request, sizeof(request), "GET %s%s%s HTTP/1.1\r\nHost: bench\r\n\r\n",
                        conn->path, last ? "?after=" : "", last ? last->cursor : "");
    else /* nchan */
        size = snprintf(request, sizeof(request),
                        "GET %s HTTP/1.1\r\nHost: bench\r\nIf-Modified-Since: %s\r\n"
                        "If-None-Match: %s\r\n\r\n",
                        conn->path, last->modified, last->etag);
    conn_send(conn, request, (size_t)size);
}

static void conn_subscribe(struct conn *conn)
{
    static const char ws[] = " HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\n"
                             "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    static const char deflate[] = "Sec-WebSocket-Extensions: permessage-deflate; "
                                  "server_no_context_takeover; client_no_context_takeover\r\n";
    static const char sse[] = " HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n";
    char request[512];
    int size;
    switch (conn->kind) {
    case CONN_SSE:
        size = snprintf(request, sizeof(request), "GET %s%s", conn->path, sse);
        conn_send(conn, request, (size_t)size);
        break;
    case CONN_POLL: conn_poll(conn, NULL); break;
    case CONN_WS:
    case CONN_DEFLATE:
        size = snprintf(request, sizeof(request), "GET %s%s%s\r\n", conn->path, ws,
                        conn->kind == CONN_DEFLATE ? deflate : "");
        conn_send(conn, request, (size_t)size);
        break;
    default: conn_ask(conn);
    }
}

/* --- what arrives ----------------------------------------------------------------------------- */

static void conn_ready(struct conn *conn)
{
    tally.ready += !conn->is_ready;
    conn->is_ready = true;
}

static void conn_closed(struct conn *conn)
{
    tally.closed++;
    conn_abort(conn);
}

/* Answers a ping with its own bytes, masked with zeros. */
static void conn_pong(struct conn *conn, const struct frame *ping)
{
    tally.pings++;
    char pong[6 + 125] = {(char)0x8a, (char)(0x80 | ping->size)};
    memcpy(pong + 6, ping->bytes, ping->size);
    conn_send(conn, pong, 6 + ping->size);
}

static void on_frame(struct conn *conn, const struct frame *frame)
{
    switch (frame->opcode) {
    case FRAME_TEXT:
    case FRAME_BINARY:
        message_delivered(&conn->seen, frame->bytes, frame->size, frame->is_deflated);
        break;
    case FRAME_PING: conn_pong(conn, frame); break;
    case FRAME_CLOSE: conn_closed(conn); break;
    default: errx(1, "an unexpected frame, opcode %d", frame->opcode);
    }
}

/* An answer to a request; for a stream only its head. `arrived_ns` is CLOCK_REALTIME. */
static void on_answer(struct conn *conn, const struct answer *answer, uint64_t arrived_ns)
{
    bool is_ws = conn->kind == CONN_WS || conn->kind == CONN_DEFLATE;
    bool is_good = is_ws ? answer->status == 101 : answer->status / 100 == 2;
    if (!is_good)
        errx(1, "status %d for a connection of kind %d: %.200s", answer->status, conn->kind,
             answer->body);

    conn->is_waiting = false;
    if (conn->kind == CONN_CONTROL)
        tally.control++;
    else if (conn->kind == CONN_HELLO)
        tally.answers++;
    else if (conn->kind == CONN_PROBE)
        histogram_add(&tally.probes, arrived_ns - conn->asked_ns);

    if (conn->kind == CONN_POLL) {
        answer_deliver(answer, &conn->seen);
        conn_poll(conn, answer);
    }
    conn_ready(conn);
}

/* Takes what is whole from the front of what has arrived; how many bytes that was. */
static size_t conn_take(struct conn *conn, char *bytes, size_t size, uint64_t arrived_ns)
{
    bool is_ws = conn->kind == CONN_WS || conn->kind == CONN_DEFLATE;
    if (conn->is_ready && conn->kind == CONN_SSE)
        return events_deliver(bytes, size, &conn->seen);
    if (conn->is_ready && is_ws) {
        struct frame frame;
        size_t taken = frame_read(bytes, size, &frame);
        if (taken)
            on_frame(conn, &frame);
        return taken;
    }
    struct answer answer;
    size_t taken = answer_read(bytes, size, is_ws || conn->kind == CONN_SSE, &answer);
    if (taken)
        on_answer(conn, &answer, arrived_ns);
    return taken;
}

/* The remainder is kept for the next time. */
static void conn_keep(struct conn *conn, const char *bytes, size_t size)
{
    free(conn->carry);
    conn->carry = NULL;
    conn->carry_size = size;
    if (size == 0)
        return;
    conn->carry = malloc(size);
    if (!conn->carry || size > READ_MAX / 2)
        errx(1, "%zu bytes arrived that make nothing whole", size);
    memcpy(conn->carry, bytes, size);
}

/* Reads behind what was kept. When the bytes came is known for probes alone; 0 for the others. */
static ssize_t conn_read(struct conn *conn, uint64_t *arrived_ns)
{
    char control[64];
    struct iovec to = {conns.in + conn->carry_size, READ_MAX - conn->carry_size};
    struct msghdr msg = {.msg_iov = &to, .msg_iovlen = 1};
    msg.msg_control = conn->kind == CONN_PROBE ? control : NULL;
    msg.msg_controllen = conn->kind == CONN_PROBE ? sizeof(control) : 0;
    *arrived_ns = 0;
    memcpy(conns.in, conn->carry ? conn->carry : "", conn->carry_size);
    ssize_t size = recvmsg(conn->fd, &msg, MSG_DONTWAIT);

    struct cmsghdr *stamp = CMSG_FIRSTHDR(&msg);
    if (size > 0 && stamp && stamp->cmsg_type == SCM_TIMESTAMPNS) {
        struct timespec at;
        memcpy(&at, CMSG_DATA(stamp), sizeof(at));
        *arrived_ns = (uint64_t)at.tv_sec * NS_PER_S + (uint64_t)at.tv_nsec;
    }
    return size;
}

static void on_readable(struct conn *conn)
{
    uint64_t arrived_ns;
    if (conn->fd < 0)
        return;
    ssize_t got = conn_read(conn, &arrived_ns);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        conn_closed(conn);
        return;
    }
    char *at = conns.in;
    size_t size = conn->carry_size + (size_t)got, taken = 1;
    while (taken && size && conn->fd >= 0) {
        taken = conn_take(conn, at, size, arrived_ns);
        at += taken;
        size -= taken;
    }
    if (conn->fd >= 0)
        conn_keep(conn, at, size);
}

/* --- the life of a connection ----------------------------------------------------------------- */

static void conn_watch(struct conn *conn, int how)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    if (epoll_ctl(conns.epoll, how, conn->fd, &event))
        err(1, "epoll_ctl");
}

struct conn *conn_open(enum conn_kind kind, const char *path)
{
    static const char *const paths[] = {
        [CONN_WS] = "/ws", [CONN_DEFLATE] = "/ws", [CONN_SSE] = "/sse", [CONN_POLL] = "/poll"};
    int on = 1;
    uint32_t source = INADDR_LOOPBACK + (uint32_t)(conns.opened++ / CONNS_PER_ADDRESS);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(source)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)conns.port);

    struct conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        errx(1, "no memory");
    conn->kind = (unsigned char)kind;
    conn->path = path || kind > CONN_POLL ? path : paths[kind];
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (conn->fd < 0)
        err(1, "cannot make socket %d", conns.opened);
    setsockopt(conn->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (kind == CONN_PROBE)
        setsockopt(conn->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
    if (bind(conn->fd, (struct sockaddr *)&from, sizeof(from)) ||
        connect(conn->fd, (struct sockaddr *)&to, sizeof(to)))
        err(1, "cannot open connection %d", conns.opened);

    conn_watch(conn, EPOLL_CTL_ADD);
    if (kind != CONN_CONTROL)
        conn_subscribe(conn);
    if (kind == CONN_POLL)
        conn_ready(conn); /* nobody says when it is parked */
    return conn;
}

void conn_stall(struct conn *conn)
{
    conn_watch(conn, EPOLL_CTL_DEL);
}

void conn_abort(struct conn *conn)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (conn->fd < 0)
        return;
    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(conn->fd);
    conn->fd = -1;
}

void conns_pump(uint64_t until_ns)
{
    struct epoll_event events[EVENTS];
    uint64_t now = clock_ns(CLOCK_MONOTONIC), wait_ns = until_ns > now ? until_ns - now : 0;
    struct timespec wait = {(time_t)(wait_ns / NS_PER_S), (long)(wait_ns % NS_PER_S)};
    int count = epoll_pwait2(conns.epoll, events, EVENTS, &wait, NULL);
    for (int i = 0; i < count; i++)
        on_readable(events[i].data.ptr);
}

bool conns_pump_to(const uint64_t *count, uint64_t wanted, uint64_t limit_ns)
{
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + limit_ns;
    while (*count < wanted && clock_ns(CLOCK_MONOTONIC) < end)
        conns_pump(end);
    return *count >= wanted;
}
