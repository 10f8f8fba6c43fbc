/* The reference for deliveries: the least any server on sockets must do. One thread on epoll; what
 * is published in one turn is framed once, then sent to each subscriber with one plain send(), in a
 * loop.
 *
 * It has no timeouts, no slices and no patience: a subscriber whose socket is full is closed. */
#include "live_wire.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOT_SUBSCRIBED UINT32_MAX
enum { EVENTS = 1024, LISTEN_BACKLOG = 1024 };

struct conn {
    int fd;
    uint32_t place; /* among the subscribers, or NOT_SUBSCRIBED */
};

/* The one server of this program. */
static struct server {
    int epoll, listener;
    struct conn **subscribers;
    uint32_t count, cap;
    char in[64 * 1024 + 1];
} server;

/* --- subscribers ------------------------------------------------------------------------------ */

static void subscribe(struct conn *conn)
{
    if (server.count == server.cap) {
        server.cap = server.cap ? server.cap * 2 : 1024;
        server.subscribers = realloc(server.subscribers, server.cap * sizeof(struct conn *));
        if (!server.subscribers)
            abort();
    }
    conn->place = server.count;
    server.subscribers[server.count++] = conn;
}

static void conn_close(struct conn *conn)
{
    if (conn->place != NOT_SUBSCRIBED) {
        struct conn *last = server.subscribers[--server.count];
        server.subscribers[conn->place] = last;
        last->place = conn->place;
    }
    close(conn->fd);
    free(conn);
}

/* From the last one to the first: closing one moves the last into its place. */
static void publish(const struct wire_request *request)
{
    size_t size;
    const char *frames = wire_frames(request, &size);
    for (uint32_t i = server.count; i-- > 0;) {
        struct conn *conn = server.subscribers[i];
        if (send(conn->fd, frames, size, MSG_NOSIGNAL) != (ssize_t)size)
            shutdown(conn->fd, SHUT_RDWR); /* closed when epoll tells: an event may be waiting */
    }
}

/* --- connections ------------------------------------------------------------------------------ */

/* Answers one request; false: the connection is of no more use. */
static bool answer(struct conn *conn, const struct wire_request *request, const char *bytes)
{
    char out[WIRE_ANSWER_MAX];
    size_t len = request->size ? wire_answer(request, bytes, out) : 0;
    if (len == 0 || send(conn->fd, out, len, MSG_NOSIGNAL) != (ssize_t)len)
        return false;
    if (request->act == WIRE_SUBSCRIBE)
        subscribe(conn);
    else if (request->act == WIRE_PUBLISH)
        publish(request);
    return true;
}

static void on_readable(struct conn *conn)
{
    ssize_t size = recv(conn->fd, server.in, sizeof(server.in) - 1, 0);
    if (size <= 0) {
        conn_close(conn);
        return;
    }
    if (conn->place != NOT_SUBSCRIBED)
        return; /* a pong */

    for (char *at = server.in; size > 0;) {
        struct wire_request request = wire_read(at, (size_t)size);
        if (!answer(conn, &request, at)) {
            conn_close(conn);
            return;
        }
        at += request.size;
        size -= (ssize_t)request.size;
    }
}

static void on_connections(void)
{
    for (;;) {
        int on = 1, fd = accept4(server.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct conn *conn = malloc(sizeof(*conn));
        if (!conn)
            abort();
        *conn = (struct conn){.fd = fd, .place = NOT_SUBSCRIBED};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
        if (epoll_ctl(server.epoll, EPOLL_CTL_ADD, fd, &event))
            conn_close(conn);
    }
}

/* --- the program ------------------------------------------------------------------------------ */

static int server_open(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (bind(server.listener, (struct sockaddr *)&addr, len) ||
        listen(server.listener, LISTEN_BACKLOG) ||
        getsockname(server.listener, (struct sockaddr *)&addr, &len) ||
        epoll_ctl(server.epoll, EPOLL_CTL_ADD, server.listener, &event))
        return -1;
    return ntohs(addr.sin_port);
}

int main(void)
{
    struct epoll_event events[EVENTS];
    int port = server_open();
    if (port < 0) {
        perror("live_raw: cannot listen");
        return 1;
    }
    printf("raw: listening on http://127.0.0.1:%d\n", port);
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(server.epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                on_readable(events[i].data.ptr);
            else
                on_connections();
        }
    }
}
