/* The life of a WebSocket: pings, the ways to end, pausing, sending more than is taken, and the end
 * of its server. */
#include "ws_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void connect_to(struct client *client, struct echo *echo)
{
    client_open(client, echo, false, 0);
    client_shake_hands(client, "", NULL);
}

static void send_frame(struct client *client, unsigned first, const char *payload)
{
    struct bytes bytes = {0};
    frame_append(&bytes, first, payload, strlen(payload));
    client_send(client, bytes.data, bytes.len, CUT_NONE);
    bytes_deinit(&bytes);
}

/* Whether the next frame is that one. */
static bool gets(struct client *client, int first, const char *payload)
{
    struct bytes got = {0};
    bool is_well = client_next(client, &got) == first && got.len == strlen(payload) &&
                   memcmp(got.data ? got.data : "", payload, got.len) == 0;
    bytes_deinit(&got);
    return is_well;
}

static bool has_closed(struct echo *echo, int times, int code)
{
    UNTIL(&echo->loop, echo->closed == times);
    return echo->closed == times && echo->code == code;
}

/* ---- pings ---- */

static void test_pings(struct echo *echo)
{
    struct client client;
    echo->options.ping_ms = 40;
    echo->options.pong_ms = 1500; /* as long may the machine stand still between our lines */
    connect_to(&client, echo);
    uint64_t start_ms = real_ms();
    bool is_asked = gets(&client, 0x89, "");
    uint64_t after_ms = real_ms() - start_ms;
    check(is_asked && after_ms >= 35, "life: a silent peer is asked");
    send_frame(&client, 0x8a, "");
    start_ms = real_ms();
    check(gets(&client, 0x89, "") && real_ms() - start_ms >= 35 && echo->closed == 0,
          "life: one that answers lives on, and is asked again");
    send_frame(&client, 0x81, "x");
    check(gets(&client, 0x81, "x") && gets(&client, 0x89, "") && echo->closed == 0,
          "life: anything it says is an answer");
    start_ms = real_ms();
    check(has_closed(echo, 1, 1006) && real_ms() - start_ms >= 1450,
          "life: one that does not answer is given up");
    client_close(&client);

    echo->options.ping_ms = 1500;
    echo->options.pong_ms = 10000;
    connect_to(&client, echo);
    start_ms = real_ms();
    while (real_ms() - start_ms < 2000) {
        send_frame(&client, 0x82, "");
        client_read(&client);
    }
    struct bytes got = {0};
    bool has_ping = false;
    while (client.got.len > 0)
        has_ping = client_take(&client, &got) == 0x89 || has_ping;
    check(!has_ping, "life: one that talks is not asked");
    client_close(&client);
    bytes_deinit(&got);

    echo->options.ping_ms = 20;
    echo->options.pong_ms = 20;
    connect_to(&client, echo);
    ws_pause(echo->ws);
    int closed = echo->closed;
    start_ms = real_ms();
    while (real_ms() - start_ms < 150)
        turn(&echo->loop);
    check(echo->closed == closed, "life: while we do not listen nobody is given up");
    ws_resume(echo->ws);
    check(gets(&client, 0x89, "") && has_closed(echo, closed + 1, 1006),
          "life: when we listen again it is");
    client_close(&client);
    echo->options.ping_ms = 25000;
    echo->options.pong_ms = 10000;
}

/* ---- the ways to end ---- */

static void test_ends(struct echo *echo)
{
    struct client client;
    echo->closed = 0;
    connect_to(&client, echo);
    ws_close(echo->ws, 1000, "", 0);
    ws_close(echo->ws, 1001, "", 0);
    ws_send(echo->ws, "late", 4, true);
    check(gets(&client, 0x88, "\x03\xe8"), "life: our close is sent once, and nothing behind it");
    send_frame(&client, 0x89, "ping");
    send_frame(&client, 0x81, "message");
    send_frame(&client, 0x88, "\x0f\xa0theirs");
    int messages = echo->messages;
    check(has_closed(echo, 1, 4000) && strcmp(echo->reason, "theirs") == 0 &&
              echo->messages == messages && client_next(&client, &(struct bytes){0}) == -1 &&
              !client.was_reset,
          "life: then only the peer's close counts");
    client_close(&client);

    echo->options.close_ms = 50;
    connect_to(&client, echo);
    uint64_t start_ms = real_ms();
    ws_close(echo->ws, 1000, "", 0);
    check(has_closed(echo, 2, 1006) && real_ms() - start_ms >= 45,
          "life: a peer that does not close is given up");
    client_close(&client);
    echo->options.close_ms = 5000;

    connect_to(&client, echo);
    shutdown(client.fd, SHUT_WR);
    check(has_closed(echo, 3, 1006), "life: a peer that leaves without a word");
    client_close(&client);

    client_open(&client, echo, true, 0);
    client_shake_hands(&client, "", NULL);
    struct linger at_once = {1, 0};
    setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    client_close(&client);
    check(has_closed(echo, 4, 1006), "life: a peer that resets");

    connect_to(&client, echo);
    ws_pause(echo->ws);
    shutdown(client.fd, SHUT_WR);
    check(has_closed(echo, 5, 1006), "life: a peer that leaves while we do not listen");
    client_close(&client);

    connect_to(&client, echo);
    char reason[200];
    memset(reason, 'r', sizeof(reason));
    memcpy(reason + 122, "\xe2\x82\xac", 3);
    struct bytes got = {0};
    ws_close(echo->ws, 4999, reason, sizeof(reason));
    check(client_next(&client, &got) == 0x88 && got.len == 124,
          "life: a long reason is cut between two characters");
    bytes_deinit(&got);
    client_close(&client);

    connect_to(&client, echo);
    ws_close(echo->ws, 1005, "", 0);
    check(gets(&client, 0x88, ""), "life: 1005 is a close without a code");
    client_close(&client);
}

/* ---- pausing ---- */

static void test_pause(struct echo *echo)
{
    struct client client;
    connect_to(&client, echo);
    ws_pause(echo->ws);
    int messages = echo->messages;
    send_frame(&client, 0x81, "one");
    send_frame(&client, 0x81, "two");
    uint64_t start_ms = real_ms();
    while (real_ms() - start_ms < 50)
        turn(&echo->loop);
    check(echo->messages == messages, "life: paused, no message comes");
    ws_resume(echo->ws);
    check(gets(&client, 0x81, "one") && gets(&client, 0x81, "two"), "life: then all of them do");

    ws_pause(echo->ws);
    send_frame(&client, 0x81, "lost");
    ws_close(echo->ws, 1000, "", 0);
    send_frame(&client, 0x88, "\x03\xe8");
    check(gets(&client, 0x88, "\x03\xe8") && echo->messages == messages + 2 && echo->code == 1000,
          "life: paused, the close handshake is done all the same");
    client_close(&client);
}

/* ---- sending more than is taken ---- */

#define FRAMES 2000

static void test_ready_frames(struct echo *echo)
{
    static size_t ends[FRAMES];
    struct client client;
    struct bytes all = {0};
    struct bytes got = {0};
    char payload[600];
    for (int i = 0; i < FRAMES; i++) {
        fill_pattern(payload, sizeof(payload), (uint32_t)i);
        struct blob *blob = ws_frame_new(payload, sizeof(payload), false);
        bytes_append(&all, blob->data, blob->len);
        ends[i] = all.len;
        blob_drop(blob);
    }
    client_open(&client, echo, true, 8192);
    client_shake_hands(&client, "", NULL);
    echo->drained = 0;

    bool is_bounded = true;
    bool is_woken = true;
    int taken = 0;
    while (taken < FRAMES && is_woken) {
        static size_t rest[FRAMES];
        size_t start = taken ? ends[taken - 1] : 0;
        for (int i = taken; i < FRAMES; i++)
            rest[i - taken] = ends[i] - start;
        int drained = echo->drained;
        taken += ws_send_frames(echo->ws, all.data + start, rest, FRAMES - taken);
        is_bounded = is_bounded && ws_unsent(echo->ws) <= 604;
        if (taken == FRAMES)
            break;
        is_bounded = is_bounded && ws_send_frames(echo->ws, all.data, ends, 1) == 0;
        UNTIL(&echo->loop, (client_read(&client), echo->drained > drained));
        is_woken = echo->drained > drained;
    }
    check(is_woken, "life: on_drained comes whenever not all ready frames were taken");
    check(is_bounded, "life: never more than one of them waits");
    bool is_well = true;
    for (int i = 0; i < FRAMES; i++) {
        fill_pattern(payload, sizeof(payload), (uint32_t)i);
        is_well = is_well && client_next(&client, &got) == 0x82 && got.len == sizeof(payload) &&
                  memcmp(got.data, payload, got.len) == 0;
    }
    check(is_well, "life: all ready frames arrive whole and in order");
    client_close(&client);
    bytes_deinit(&all);
    bytes_deinit(&got);
}

static void test_large(struct echo *echo)
{
    struct client client;
    struct bytes got = {0};
    size_t len = 10 << 20;
    char *data = malloc(len);
    fill_pattern(data, len, 9);
    client_open(&client, echo, true, 8192);
    client_shake_hands(&client, "", NULL);
    echo->drained = 0;
    ws_send(echo->ws, data, len, false);
    check(ws_unsent(echo->ws) > CONN_HIGH_WATER, "life: what is not taken is counted");
    ws_close(echo->ws, 1000, "", 0);
    check(client_next(&client, &got) == 0x82 && got.len == len && !memcmp(got.data, data, len) &&
              gets(&client, 0x88, "\x03\xe8") && echo->drained == 1,
          "life: a large message arrives whole, before the close");
    client_close(&client);
    bytes_deinit(&got);
    free(data);
}

/* ---- the end of the server ---- */

static bool is_empty;

static void on_empty(struct http_server *server)
{
    (void)server;
    is_empty = true;
}

static void test_drain(void)
{
    struct echo echo;
    struct client one;
    struct client two;
    struct client late;
    echo_init(&echo);
    connect_to(&one, &echo);
    connect_to(&two, &echo);
    echo.is_late = true;
    client_open(&late, &echo, false, 0);
    client_send(&late, HANDSHAKE "\r\n", strlen(HANDSHAKE "\r\n"), CUT_NONE);
    UNTIL(&echo.loop, echo.waiting);
    http_server_drain(&echo.server, on_empty);
    check(gets(&one, 0x88, "\x03\xe9") && gets(&two, 0x88, "\x03\xe9"),
          "life: draining closes with 1001");
    UNTIL(&echo.loop,
          (client_read(&late), late.got.len > 4 && late.got.data[late.got.len - 1] == (char)0xe9));
    check(memmem(late.got.data, late.got.len, "\r\n\r\n\x88\x02\x03\xe9", 8),
          "life: who comes while draining is closed at once");
    send_frame(&one, 0x88, "\x03\xe9");
    send_frame(&late, 0x88, "\x03\xe9");
    check(!is_empty, "life: draining waits for the last");
    client_close(&one);
    client_close(&late);
    http_server_abort(&echo.server);
    client_close(&two);
    UNTIL(&echo.loop, is_empty);
    check(is_empty && echo.closed == 3 && echo.code == 1006, "life: or until it is aborted");
    echo_deinit(&echo);
}

void test_ws_life(void)
{
    struct echo echo;
    echo_init(&echo);
    seed_cuts(4);
    test_pings(&echo);
    test_ends(&echo);
    test_pause(&echo);
    test_ready_frames(&echo);
    test_large(&echo);
    echo_deinit(&echo);
    test_drain();
}
