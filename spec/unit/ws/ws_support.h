/* What the tests of WebSockets share: an echo server in the same thread, and a client made of a
 * plain socket that sends frames in any pieces. */
#ifndef SPEC_WS_H
#define SPEC_WS_H

#include "../net/net.h"

#include "http/session.h"
#include "ws/ws.h"

/* The server, and what its last WebSocket was told. */
struct echo {
    struct loop loop;
    struct http_server server;
    struct ws_options options; /* of the next WebSocket */
    struct ws_offer offer;     /* of the last request */
    const char *protocol;      /* to choose */
    bool is_silent;            /* takes messages without sending them back */
    bool is_late;              /* answers a request in the next turn but one */
    struct request *waiting;
    struct loop_job answer;
    bool pauses; /* after each message, until the end of the turn */
    struct loop_job resume;
    struct websocket *ws; /* the last, NULL after its end */
    uint32_t clients;     /* open ends of ours */
    int opened, messages, drained, closed;
    size_t longest;
    int code; /* given to on_close */
    char reason[128];
};

void echo_init(struct echo *echo);
void echo_deinit(struct echo *echo); /* waits for the last session */

#define KEY_LINE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define UPGRADE_LINES "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
#define HANDSHAKE "GET /chat HTTP/1.1\r\nHost: example.org\r\n" UPGRADE_LINES KEY_LINE
#define DEFLATE_LINE "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"

struct client {
    struct echo *echo;
    int fd;
    struct bytes got; /* what was read and not taken */
    bool has_ended;   /* the server ended its side */
    bool was_reset;
};

/* A connection of which `buffer` bytes fit in between (0: as usual); TCP when `is_tcp`. */
void client_open(struct client *client, struct echo *echo, bool is_tcp, int buffer);
/* Asks, with more header lines, and takes the head of the answer; its status. */
int client_shake_hands(struct client *client, const char *lines, struct bytes *head);
void client_close(struct client *client); /* and waits until the session has gone */

enum cut { CUT_NONE, CUT_BYTES, CUT_RANDOM, CUTS };
void client_send(struct client *client, const void *data, size_t len, enum cut cut);
void client_read(struct client *client); /* what is there */
/* Takes the next frame if it has come whole: its first byte, or -1. */
int client_take(struct client *client, struct bytes *payload);
/* Waits for it; -1: the end came instead. */
int client_next(struct client *client, struct bytes *payload);

void seed_cuts(uint32_t seed);
uint32_t random_below(uint32_t limit);
/* Appends a masked frame; `first` is its first byte. */
void frame_append(struct bytes *bytes, unsigned first, const void *payload, size_t len);

size_t heap_used(void);           /* bytes; under a sanitizer they say nothing */
size_t heap_grown(size_t before); /* since then, 0 when it has not */

void test_ws_handshake(void);
void test_ws_frames(void);
void test_ws_deflate(void);
void test_ws_floods(void);
void test_ws_life(void);

#endif
