/* What a peer may try so that a server runs out of memory or time. */
#include "ws_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Sends the same bytes again and again without reading, until the server takes no more or `total`
 * have left. Keeps what the server's heap grew to at most, beyond `before`. */
static size_t pour(struct client *client, const struct bytes *bytes, size_t total, size_t before,
                   size_t *most)
{
    size_t sent = 0;
    size_t at = 0;
    int refused = 0;
    while (sent < total && refused < 20) {
        ssize_t result =
            send(client->fd, bytes->data + at, bytes->len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (result < 0 && errno != EAGAIN)
            break;
        refused = result < 0 ? refused + 1 : 0;
        sent += result > 0 ? (size_t)result : 0;
        at = (at + (result > 0 ? (size_t)result : 0)) % bytes->len;
        turn(&client->echo->loop);
        size_t grown = heap_grown(before);
        if (grown > *most)
            *most = grown;
    }
    return sent;
}

/* As many frames as make about 60,000 bytes, so that the rest of a send begins in their middle. */
static void many_frames(struct bytes *bytes, unsigned first, const char *payload, size_t len)
{
    while (bytes->len < 60000)
        frame_append(bytes, first, payload, len);
}

static void test_fragments(struct echo *echo, const char *payload, const char *sentence)
{
    struct client client;
    struct bytes bytes = {0};
    struct bytes got = {0};
    client_open(&client, echo, false, 0);
    client_shake_hands(&client, "", NULL);
    frame_append(&bytes, 0x02, payload, strlen(payload));
    client_send(&client, bytes.data, bytes.len, CUT_NONE);
    bytes_clear(&bytes);
    many_frames(&bytes, 0x00, payload, strlen(payload));
    size_t most = 0;
    pour(&client, &bytes, 100 << 20, heap_used(), &most);
    check(client_next(&client, &got) == 0x88 && memcmp(got.data, "\x03\xf1", 2) == 0 &&
              echo->code == 1009 && most < 128 << 10,
          sentence);
    client_close(&client);
    bytes_deinit(&bytes);
    bytes_deinit(&got);
}

static void test_pings(struct echo *echo)
{
    char payload[125];
    struct client client;
    struct bytes bytes = {0};
    struct bytes got = {0};
    size_t most = 0;
    memset(payload, 'x', sizeof(payload));
    client_open(&client, echo, true, 8192);
    client_shake_hands(&client, "", NULL);
    many_frames(&bytes, 0x89, payload, sizeof(payload));
    size_t sent = pour(&client, &bytes, 64 << 20, heap_used(), &most);
    check(sent >= 64 << 20 && most < 256 << 10,
          "floods: 64 MiB of pings to which nobody reads the answers cost nothing");

    size_t at = sent % bytes.len; /* in the middle of a frame */
    client_send(&client, bytes.data + at, bytes.len - at, CUT_NONE);
    bytes_clear(&bytes);
    frame_append(&bytes, 0x89, "last", 4);
    client_send(&client, bytes.data, bytes.len, CUT_NONE);
    bool has_last = false;
    for (int i = 0; i < 2000 && !has_last; i++)
        has_last =
            client_next(&client, &got) == 0x8a && got.len == 4 && !memcmp(got.data, "last", 4);
    check(has_last, "floods: the newest of them is answered when the peer reads again");
    client_close(&client);
    bytes_deinit(&bytes);
    bytes_deinit(&got);
}

static void test_echo(struct echo *echo)
{
    char payload[1000] = {0};
    struct client client;
    struct bytes bytes = {0};
    struct bytes got = {0};
    size_t most = 0;
    client_open(&client, echo, true, 8192);
    client_shake_hands(&client, "", NULL);
    many_frames(&bytes, 0x82, payload, sizeof(payload));
    int before = echo->messages;
    size_t sent = pour(&client, &bytes, 64 << 20, heap_used(), &most);
    check(sent < 8 << 20 && most < 640 << 10,
          "floods: who does not read the answers is not read either");

    /* All that was sent whole comes back once the peer reads. */
    size_t frame = bytes.len;
    UNTIL(&echo->loop, (client_read(&client),
                        echo->server.busy.next != &echo->server.busy && ws_unsent(echo->ws) == 0));
    int whole = (int)(sent / (frame / ((60000 + 1007) / 1008)));
    UNTIL(&echo->loop, (client_read(&client), echo->messages - before >= whole));
    int count = 0;
    while (client_next(&client, &got) == 0x82 && got.len == sizeof(payload) && ++count < whole)
        ;
    check(count == whole, "floods: and gets every answer when it does");
    client_close(&client);
    bytes_deinit(&bytes);
    bytes_deinit(&got);
}

/* Ten thousand messages in one read, of which the application takes one a turn. */
static void test_tiny(struct echo *echo)
{
    struct client client;
    struct bytes bytes = {0};
    echo->is_silent = true;
    echo->pauses = true;
    client_open(&client, echo, false, 0);
    client_shake_hands(&client, "", NULL);
    many_frames(&bytes, 0x82, "", 0);
    int wanted = echo->messages + (int)(bytes.len / 6);
    size_t before = heap_used();
    send(client.fd, bytes.data, bytes.len, MSG_NOSIGNAL);
    turn(&echo->loop);
    size_t held = heap_grown(before);
    clock_t start = clock();
    UNTIL(&echo->loop, echo->messages == wanted);
    check(echo->messages == wanted && held < 100 << 10 && clock() - start < 2 * CLOCKS_PER_SEC,
          "floods: 10,000 empty messages in one read, taken one by one, are no burden");
    client_close(&client);
    bytes_deinit(&bytes);
    echo->is_silent = false;
    echo->pauses = false;
}

#define MANY 1000

/* An announced length alone must not make us allocate anything. */
static void test_announced(struct echo *echo)
{
    struct client client;
    client_open(&client, echo, false, 0);
    client_shake_hands(&client, "", NULL);
    size_t before = heap_used();
    client_send(&client, "\x82\xff\0\0\0\0\0\x10\0\0mask123", 17, CUT_NONE);
    check(heap_grown(before) < 8192, "floods: a megabyte announced takes no memory");
    client_close(&client);
}

/* The memory of WebSockets that are idle, in the middle of a frame, and idle again. */
static void test_idle(struct echo *echo)
{
    static struct client clients[MANY];
    size_t before = heap_used();
    for (int i = 0; i < MANY; i++) {
        client_open(&clients[i], echo, false, 0);
        client_shake_hands(&clients[i], DEFLATE_LINE, NULL);
        bytes_deinit(&clients[i].got);
    }
    size_t idle = heap_grown(before) / MANY;
    for (int i = 0; i < MANY; i++)
        client_send(&clients[i], "\x82", 1, CUT_NONE);
    size_t partly = heap_grown(before) / MANY;
    for (int i = 0; i < MANY; i++)
        client_send(&clients[i], "\x80mask", 5, CUT_NONE);
    UNTIL(&echo->loop, echo->messages >= MANY);
    for (int i = 0; i < MANY; i++) {
        client_read(&clients[i]);
        bytes_deinit(&clients[i].got);
    }
    size_t again = heap_grown(before) / MANY;
    printf("# bytes per WebSocket: %zu idle, %zu in a frame, %zu idle again\n", idle, partly,
           again);
    check(idle < 640, "floods: an idle WebSocket needs less than 640 bytes");
    check(partly < 5700, "floods: in the middle of a frame it borrows 4.5 KiB more");
    check(again < 730, "floods: which it gives back");
    for (int i = 0; i < MANY; i++)
        client_close(&clients[i]);
}

void test_ws_floods(void)
{
    struct echo echo;
    echo_init(&echo);
    seed_cuts(3);
    test_fragments(&echo, "x", "floods: a message in one-byte fragments ends at the limit");
    test_fragments(&echo, "", "floods: and so does one in empty fragments");
    test_pings(&echo);
    test_echo(&echo);
    test_tiny(&echo);
    test_announced(&echo);
    echo_deinit(&echo);
    echo_init(&echo);
    test_idle(&echo);
    echo_deinit(&echo);
}
