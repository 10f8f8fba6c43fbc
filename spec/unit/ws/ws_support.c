/* The echo server and the client for the tests of WebSockets. */
#include "ws_support.h"

#include "http/response.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the server ---- */

/* One of its WebSockets. */
struct echoing {
    struct websocket ws;
    struct echo *echo;
};

static struct echo *echo_of(struct websocket *ws)
{
    return container_of(ws, struct echoing, ws)->echo;
}

static void on_resume(struct loop_job *job)
{
    struct echo *echo = container_of(job, struct echo, resume);
    if (echo->ws)
        ws_resume(echo->ws);
}

static void on_message(struct websocket *ws, const char *data, size_t len, bool is_text)
{
    struct echo *echo = echo_of(ws);
    echo->messages++;
    if (len > echo->longest)
        echo->longest = len;
    if (!echo->is_silent)
        ws_send(ws, data, len, is_text);
    if (echo->pauses) {
        ws_pause(ws);
        loop_defer_next(&echo->loop, &echo->resume);
    }
    if (is_text && len == 5 && memcmp(data, "close", 5) == 0)
        ws_close(ws, 4001, "as you wish", 11);
}

static void on_ws_drained(struct websocket *ws)
{
    struct echo *echo = echo_of(ws);
    echo->drained++;
}

static void on_ws_close(struct websocket *ws, int code, const char *reason, size_t len)
{
    struct echo *echo = echo_of(ws);
    echo->closed++;
    echo->code = code;
    assert(len < sizeof(echo->reason));
    memcpy(echo->reason, reason, len);
    echo->reason[len] = '\0';
    if (echo->ws == ws)
        echo->ws = NULL;
    free(container_of(ws, struct echoing, ws));
}

static struct websocket *accept_one(struct echo *echo, struct request *rq, const char *protocol)
{
    static const struct ws_events events = {
        .on_message = on_message, .on_drained = on_ws_drained, .on_close = on_ws_close};
    struct echoing *echoing = calloc(1, sizeof(*echoing));
    echoing->echo = echo;
    if (ws_accept(&echoing->ws, rq, &echo->options, &events, protocol))
        return &echoing->ws;
    free(echoing);
    return NULL;
}

static void answer(struct request *rq)
{
    struct echo *echo = rq->server->owner;
    ws_offer_read(rq, &echo->offer);
    if (!echo->offer.is_valid) {
        response_plain(rq, echo->offer.refusal);
    } else {
        const char *protocol = echo->protocol;
        if (protocol && !ws_offers_protocol(rq, protocol, strlen(protocol)))
            protocol = NULL;
        response_begin(rq, 101);
        response_header(rq, "x-more", 6, "yes", 3);
        echo->ws = accept_one(echo, rq, protocol);
        echo->opened++;
    }
    session_request_done(rq);
}

static void on_answer(struct loop_job *job)
{
    struct echo *echo = container_of(job, struct echo, answer);
    echo->waiting->is_held = false;
    answer(echo->waiting);
}

static void on_request(struct request *rq)
{
    struct echo *echo = rq->server->owner;
    if (!echo->is_late) {
        answer(rq);
        return;
    }
    rq->is_held = true; /* as if a handler were parked */
    echo->waiting = rq;
    loop_defer_next(&echo->loop, &echo->answer);
}

static void ignore(struct request *rq)
{
    (void)rq;
}

void echo_init(struct echo *echo)
{
    static const struct http_events events = {
        .on_request = on_request,
        .on_body = ignore,
        .on_writable = ignore,
        .on_left = ignore,
        .on_gone = ignore,
    };
    static const struct http_limits limits = {
        .header_bytes = 16384,
        .header_line = 8192,
        .header_count = 100,
        .uri = 8192,
        .body = 1 << 20,
        .header_ms = 10000,
        .idle_ms = 60000,
        .body_window_ms = 30000,
        .write_ms = 30000,
    };
    memset(echo, 0, sizeof(*echo));
    int err = loop_init(&echo->loop, echo);
    assert(err == 0);
    (void)err;
    echo->loop.linger_ms = 100;
    http_server_init(&echo->server, &echo->loop, &limits, &events, echo);
    echo->options = (struct ws_options){.max_message = 1 << 20,
                                        .max_fragments = 16384,
                                        .ping_ms = 25000,
                                        .pong_ms = 10000,
                                        .close_ms = 5000,
                                        .deflate = true};
    echo->resume.run = on_resume;
    echo->answer.run = on_answer;
}

void echo_deinit(struct echo *echo)
{
    UNTIL(&echo->loop, echo->server.count == 0);
    loop_cancel_job(&echo->resume);
    http_server_deinit(&echo->server);
    loop_deinit(&echo->loop);
}

/* ---- the client ---- */

void client_open(struct client *client, struct echo *echo, bool is_tcp, int buffer)
{
    int fds[2];
    if (is_tcp)
        tcp_pair(fds, buffer);
    else
        unix_pair(fds);
    if (!is_tcp && buffer)
        setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
    *client = (struct client){.echo = echo, .fd = fds[1]};
    echo->clients++;
    int err = session_open(&echo->server, fds[0], !is_tcp);
    assert(err == 0);
    (void)err;
}

static uint32_t random_state;

void seed_cuts(uint32_t seed)
{
    random_state = seed;
}

uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(random_state >> 8) * limit >> 24);
}

void client_read(struct client *client)
{
    int got = 1;
    while (got > 0 && !client->has_ended)
        got = read_some(client->fd, &client->got, SIZE_MAX);
    if (got < 0)
        client->has_ended = true;
    if (got == -2)
        client->was_reset = true;
}

/* All of it, or as much as the server wants to have. */
static void send_piece(struct client *client, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(client->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            data += sent;
            len -= (size_t)sent;
        } else if (errno != EAGAIN) {
            return; /* it has closed */
        }
        turn(&client->echo->loop);
        client_read(client);
    }
}

void client_send(struct client *client, const void *data, size_t len, enum cut cut)
{
    const char *at = data;
    while (len > 0) {
        size_t piece = cut == CUT_NONE ? len : cut == CUT_BYTES ? 1 : 1 + random_below(20);
        if (piece > len)
            piece = len;
        send_piece(client, at, piece);
        at += piece;
        len -= piece;
    }
}

static size_t head_length(const struct client *client)
{
    const char *end = memmem(client->got.data, client->got.len, "\r\n\r\n", 4);
    return end ? (size_t)(end - client->got.data) + 4 : 0;
}

int client_shake_hands(struct client *client, const char *lines, struct bytes *head)
{
    struct bytes ask = {0};
    bytes_printf(&ask, "%s%s\r\n", HANDSHAKE, lines);
    client_send(client, ask.data, ask.len, CUT_NONE);
    bytes_deinit(&ask);
    UNTIL(&client->echo->loop, (client_read(client), head_length(client) > 0 || client->has_ended));
    size_t len = head_length(client);
    if (len < 12)
        return 0;
    int status = atoi(client->got.data + 9);
    if (head)
        bytes_append(head, client->got.data, len);
    bytes_consume(&client->got, len);
    return status;
}

int client_take(struct client *client, struct bytes *payload)
{
    const unsigned char *at = (const unsigned char *)client->got.data;
    size_t have = client->got.len;
    if (have < 2)
        return -1;
    size_t size = at[1] < 126 ? 2 : at[1] == 126 ? 4 : 10;
    if (have < size)
        return -1;
    size_t len = at[1];
    if (size > 2) {
        len = 0;
        for (size_t i = 2; i < size; i++)
            len = len << 8 | at[i];
    }
    if (have < size + len)
        return -1;
    int first = at[0];
    bytes_clear(payload);
    bytes_append(payload, at + size, len);
    bytes_consume(&client->got, size + len);
    return first;
}

int client_next(struct client *client, struct bytes *payload)
{
    int first = -1;
    UNTIL(&client->echo->loop,
          (client_read(client), (first = client_take(client, payload)) >= 0 || client->has_ended));
    return first;
}

void client_close(struct client *client)
{
    struct echo *echo = client->echo;
    close(client->fd);
    echo->clients--;
    UNTIL(&echo->loop, echo->server.count <= echo->clients);
    bytes_deinit(&client->got);
}

/* ---- frames ---- */

void frame_append(struct bytes *bytes, unsigned first, const void *payload, size_t len)
{
    unsigned char head[14] = {(unsigned char)first};
    size_t size = len < 126 ? 0 : len < 65536 ? 2 : 8;
    head[1] = (unsigned char)(0x80 | (size == 0 ? len : size == 2 ? 126 : 127));
    for (size_t i = 0; i < size; i++)
        head[2 + i] = (unsigned char)(len >> (8 * (size - 1 - i)));
    unsigned char *mask = head + 2 + size;
    for (int i = 0; i < 4; i++)
        mask[i] = (unsigned char)random_below(256);
    bytes_append(bytes, head, 2 + size + 4);
    bytes_append(bytes, payload, len);
    for (size_t i = 0; i < len; i++)
        bytes->data[bytes->len - len + i] ^= (char)mask[i % 4];
}

size_t heap_used(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

size_t heap_grown(size_t before)
{
    size_t now = heap_used();
    return now > before ? now - before : 0;
}
