/* The ceiling for deliveries: live_raw.c on libuv, neap's loop. What is published in one turn is
 * framed once, then goes to each subscriber with one uv_try_write.
 *
 * It has no timeouts, no slices and no patience: a subscriber whose socket is full is closed. */
#include "live_wire.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <uv.h>

#define NOT_SUBSCRIBED UINT32_MAX
enum { LISTEN_BACKLOG = 1024 };

struct conn {
    uv_tcp_t tcp;
    uint32_t place; /* among the subscribers, or NOT_SUBSCRIBED */
};

/* The one server of this program. */
static struct server {
    uv_loop_t loop;
    uv_tcp_t listener;
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

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void conn_close(struct conn *conn)
{
    if (conn->place != NOT_SUBSCRIBED) {
        struct conn *last = server.subscribers[--server.count];
        server.subscribers[conn->place] = last;
        last->place = conn->place;
        conn->place = NOT_SUBSCRIBED;
    }
    if (!uv_is_closing((uv_handle_t *)&conn->tcp))
        uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

static void conn_write(struct conn *conn, const char *bytes, size_t size)
{
    uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)size);
    if (uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1) != (int)size)
        conn_close(conn);
}

/* From the last one to the first: closing one moves the last into its place. */
static void publish(const struct wire_request *request)
{
    size_t size;
    const char *frames = wire_frames(request, &size);
    for (uint32_t i = server.count; i-- > 0;)
        conn_write(server.subscribers[i], frames, size);
}

/* --- connections ------------------------------------------------------------------------------ */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle, (void)suggested;
    *buf = uv_buf_init(server.in, sizeof(server.in) - 1);
}

/* Answers one request. */
static void answer(struct conn *conn, const struct wire_request *request, const char *bytes)
{
    char out[WIRE_ANSWER_MAX];
    size_t len = request->size ? wire_answer(request, bytes, out) : 0;
    if (len == 0) {
        conn_close(conn);
        return;
    }
    conn_write(conn, out, len); /* conn may be closing after this */
    if (request->act == WIRE_SUBSCRIBE && !uv_is_closing((uv_handle_t *)&conn->tcp))
        subscribe(conn);
    else if (request->act == WIRE_PUBLISH)
        publish(request);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct conn *conn = stream->data;
    if (size < 0) {
        conn_close(conn);
        return;
    }
    if (size == 0 || conn->place != NOT_SUBSCRIBED)
        return; /* a pong */

    for (char *at = buf->base; size > 0 && !uv_is_closing((uv_handle_t *)&conn->tcp);) {
        struct wire_request request = wire_read(at, (size_t)size);
        answer(conn, &request, at);
        at += request.size;
        size -= (ssize_t)request.size;
    }
}

static void on_connection(uv_stream_t *listener, int err)
{
    if (err)
        return;
    struct conn *conn = malloc(sizeof(*conn));
    if (!conn)
        abort();
    conn->place = NOT_SUBSCRIBED;
    uv_tcp_init(&server.loop, &conn->tcp);
    conn->tcp.data = conn;

    uv_stream_t *stream = (uv_stream_t *)&conn->tcp;
    if (uv_accept(listener, stream) || uv_tcp_nodelay(&conn->tcp, 1) ||
        uv_read_start(stream, on_alloc, on_read))
        conn_close(conn);
}

/* --- the program ------------------------------------------------------------------------------ */

static int server_open(void)
{
    struct sockaddr_in addr;
    int len = sizeof(addr);
    uv_loop_init(&server.loop);
    uv_tcp_init(&server.loop, &server.listener);
    uv_ip4_addr("127.0.0.1", 0, &addr);
    int err = uv_tcp_bind(&server.listener, (struct sockaddr *)&addr, 0);
    if (!err)
        err = uv_listen((uv_stream_t *)&server.listener, LISTEN_BACKLOG, on_connection);
    if (!err)
        err = uv_tcp_getsockname(&server.listener, (struct sockaddr *)&addr, &len);
    return err ? err : ntohs(addr.sin_port);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    int port = server_open();
    if (port < 0) {
        fprintf(stderr, "live_uv: cannot listen: %s\n", uv_strerror(port));
        return 1;
    }
    printf("uv: listening on http://127.0.0.1:%d\n", port);
    fflush(stdout);
    return uv_run(&server.loop, UV_RUN_DEFAULT);
}
