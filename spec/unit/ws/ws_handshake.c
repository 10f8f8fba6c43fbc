/* The handshake: which requests are good, where they come from, what the answer says, and that what
 * comes with the request is not lost. */
#include "ws_support.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define REQUEST "GET / HTTP/1.1\r\nHost: example.org\r\n"

struct request_case {
    const char *sentence;
    const char *request;
    const char *answer; /* how it begins */
};

static const struct request_case requests[] = {
    {"accepts the request of the RFC", HANDSHAKE "\r\n", "HTTP/1.1 101 "},
    {"accepts other letters and lists",
     REQUEST "upgrade: h2c, WebSocket\r\nCONNECTION: keep-alive, UPGRADE\r\n"
             "Sec-WebSocket-Version: 13\r\n" KEY_LINE "\r\n",
     "HTTP/1.1 101 "},
    {"accepts lists over several lines",
     REQUEST
     "Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: keep-alive\r\nConnection: upgrade\r\n"
     "Sec-WebSocket-Version: 13\r\n" KEY_LINE "\r\n",
     "HTTP/1.1 101 "},
    {"asks for another version with 426",
     REQUEST "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n" KEY_LINE
             "\r\n",
     "HTTP/1.1 426 "},
    {"answers a plain GET with 426", REQUEST "\r\n", "HTTP/1.1 426 "},
    {"answers another Upgrade with 426",
     REQUEST "Upgrade: websockets\r\nConnection: Upgrade\r\n\r\n", "HTTP/1.1 426 "},
    {"refuses POST", "POST / HTTP/1.1\r\nHost: a\r\n" UPGRADE_LINES KEY_LINE "\r\n",
     "HTTP/1.1 405 "},
    {"refuses HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n" UPGRADE_LINES KEY_LINE "\r\n",
     "HTTP/1.1 405 "},
    {"refuses HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n" UPGRADE_LINES KEY_LINE "\r\n",
     "HTTP/1.1 400 "},
    {"refuses a missing Connection: upgrade",
     REQUEST "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" KEY_LINE "\r\n",
     "HTTP/1.1 400 "},
    {"refuses a missing version",
     REQUEST "Upgrade: websocket\r\nConnection: Upgrade\r\n" KEY_LINE "\r\n", "HTTP/1.1 400 "},
    {"refuses a missing key", REQUEST UPGRADE_LINES "\r\n", "HTTP/1.1 400 "},
    {"refuses two keys", REQUEST UPGRADE_LINES KEY_LINE KEY_LINE "\r\n", "HTTP/1.1 400 "},
    {"refuses a key of 15 bytes",
     REQUEST UPGRADE_LINES "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n\r\n", "HTTP/1.1 400 "},
    {"refuses a key of 17 bytes",
     REQUEST UPGRADE_LINES "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWE=\r\n\r\n", "HTTP/1.1 400 "},
    {"refuses a key that is not base64",
     REQUEST UPGRADE_LINES "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==\r\n\r\n", "HTTP/1.1 400 "},
    {"refuses an empty key", REQUEST UPGRADE_LINES "Sec-WebSocket-Key:\r\n\r\n", "HTTP/1.1 400 "},
    {"refuses a body", REQUEST UPGRADE_LINES KEY_LINE "Content-Length: 1\r\n\r\nx",
     "HTTP/1.1 400 "},
    {"refuses a chunked body",
     REQUEST UPGRADE_LINES KEY_LINE "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 400 "},
};

static bool answers(struct echo *echo, const struct request_case *one, enum cut cut)
{
    struct client client;
    client_open(&client, echo, false, 0);
    client_send(&client, one->request, strlen(one->request), cut);
    size_t len = strlen(one->answer);
    UNTIL(&echo->loop, (client_read(&client), client.got.len >= len || client.has_ended));
    bool is_well = client.got.len >= len && memcmp(client.got.data, one->answer, len) == 0;
    client_close(&client);
    return is_well;
}

static void test_requests(struct echo *echo)
{
    char sentence[128];
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        bool is_well = true;
        for (enum cut cut = CUT_NONE; cut < CUTS; cut++)
            is_well = answers(echo, &requests[i], cut) && is_well;
        snprintf(sentence, sizeof(sentence), "handshake: %s", requests[i].sentence);
        check(is_well, sentence);
    }
}

/* ---- the answer ---- */

static bool has_line(const struct bytes *head, const char *line)
{
    return memmem(head->data, head->len, line, strlen(line)) != NULL;
}

static void test_answer(struct echo *echo)
{
    struct client client;
    struct bytes head = {0};
    echo->protocol = "chat";
    client_open(&client, echo, false, 0);
    client_shake_hands(&client, "Sec-WebSocket-Protocol: super, chat\r\n", &head);
    check(has_line(&head, "\r\nUpgrade: websocket\r\n") &&
              has_line(&head, "\r\nConnection: Upgrade\r\n") &&
              has_line(&head, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
          "handshake: the answer proves that we read the key");
    check(has_line(&head, "\r\nSec-WebSocket-Protocol: chat\r\n") &&
              has_line(&head, "\r\nX-More: yes\r\n") && !has_line(&head, "Content-Length") &&
              !has_line(&head, "Extensions") && !has_line(&head, "Transfer-Encoding"),
          "handshake: the answer has our protocol, the application's lines, and no body");
    client_close(&client);

    static const char *const others[] = {"", "Sec-WebSocket-Protocol: Chat\r\n",
                                         "Sec-WebSocket-Protocol: chatter, cha t\r\n",
                                         "Sec-WebSocket-Protocol: ,, ,\r\n"};
    bool is_well = true;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        bytes_clear(&head);
        client_open(&client, echo, false, 0);
        is_well = is_well && client_shake_hands(&client, others[i], &head) == 101 &&
                  !has_line(&head, "Sec-WebSocket-Protocol");
        client_close(&client);
    }
    check(is_well, "handshake: a protocol that was not offered is not chosen");
    echo->protocol = NULL;
    bytes_deinit(&head);
}

/* ---- the origin ---- */

struct origin_case {
    const char *host;
    const char *origin; /* lines */
    bool is_same;
};

static const struct origin_case origins[] = {
    {"example.org", "Origin: http://example.org\r\n", true},
    {"example.org", "Origin: https://example.org\r\n", true},
    {"example.org", "Origin: HTTPS://Example.ORG\r\n", true},
    {"example.org", "Origin: http://example.org:80\r\n", true},
    {"example.org:80", "Origin: http://example.org\r\n", true},
    {"example.org:443", "Origin: https://example.org\r\n", true},
    {"example.org:8080", "Origin: http://example.org:8080\r\n", true},
    {"[::1]:8080", "Origin: http://[::1]:8080\r\n", true},
    {"[::1]", "Origin: http://[::1]\r\n", true},
    {"example.org", "Origin: http://evil.org\r\n", false},
    {"example.org", "Origin: http://example.org.evil.org\r\n", false},
    {"example.org", "Origin: http://evilexample.org\r\n", false},
    {"example.org", "Origin: http://sub.example.org\r\n", false},
    {"example.org", "Origin: http://example.org:8080\r\n", false},
    {"example.org:8080", "Origin: http://example.org\r\n", false},
    {"example.org:80", "Origin: https://example.org\r\n", false},
    {"example.org", "Origin: http://example.org@evil.org\r\n", false},
    {"example.org", "Origin: http://evil.org/example.org\r\n", false},
    {"example.org", "Origin: http://example.org/\r\n", false},
    {"example.org", "Origin: http://example.org:99999999999999999999\r\n", false},
    {"example.org", "Origin: http://example.org:80x\r\n", false},
    {"example.org", "Origin: ftp://example.org\r\n", false},
    {"example.org", "Origin: example.org\r\n", false},
    {"example.org", "Origin: http://\r\n", false},
    {"example.org", "Origin: http://:80\r\n", false},
    {"example.org", "Origin: null\r\n", false},
    {"example.org", "Origin:\r\n", false},
    {"example.org", "Origin: http://example.org\r\nOrigin: http://evil.org\r\n", false},
    {"example.org", "Origin: http://example.org, http://evil.org\r\n", false},
};

static void test_origins(struct echo *echo)
{
    bool is_well = true;
    for (size_t i = 0; i < sizeof(origins) / sizeof(origins[0]); i++) {
        struct client client;
        struct bytes ask = {0};
        int opened = echo->opened;
        bytes_printf(&ask, "GET / HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n", origins[i].host,
                     UPGRADE_LINES KEY_LINE, origins[i].origin, "");
        client_open(&client, echo, false, 0);
        client_send(&client, ask.data, ask.len, CUT_NONE);
        bool is_right = echo->opened == opened + 1 && echo->offer.has_origin &&
                        echo->offer.is_same_origin == origins[i].is_same;
        if (!is_right)
            printf("# Host: %s, %s", origins[i].host, origins[i].origin);
        is_well = is_well && is_right;
        client_close(&client);
        bytes_deinit(&ask);
    }
    check(is_well, "handshake: knows a foreign origin");

    struct client client;
    client_open(&client, echo, false, 0);
    client_shake_hands(&client, "", NULL);
    check(!echo->offer.has_origin, "handshake: knows that there is no origin");
    client_close(&client);
}

/* ---- what comes at once ---- */

static bool reads_early(struct echo *echo, enum cut cut)
{
    struct client client;
    struct bytes bytes = {0};
    struct bytes got = {0};
    client_open(&client, echo, false, 0);
    bytes_append_text(&bytes, HANDSHAKE "\r\n");
    frame_append(&bytes, 0x81, "early", 5);
    frame_append(&bytes, 0x82, "bird", 4);
    client_send(&client, bytes.data, bytes.len, cut);
    UNTIL(&echo->loop, (client_read(&client), memmem(client.got.data, client.got.len, "bird", 4)));
    const char *end = memmem(client.got.data, client.got.len, "\r\n\r\n", 4);
    bytes_consume(&client.got, end ? (size_t)(end - client.got.data) + 4 : 0);
    bool is_well = client_next(&client, &got) == 0x81 && got.len == 5 &&
                   memcmp(got.data, "early", 5) == 0 && client_next(&client, &got) == 0x82;
    client_close(&client);
    bytes_deinit(&bytes);
    bytes_deinit(&got);
    return is_well;
}

/* What follows an Upgrade is no HTTP, so it must not be read as a request. */
static bool closes_when_refused(struct echo *echo)
{
    static const char request[] =
        REQUEST UPGRADE_LINES "\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    struct client client;
    uint64_t before = echo->server.total_requests;
    client_open(&client, echo, false, 0);
    client_send(&client, request, sizeof(request) - 1, CUT_NONE);
    UNTIL(&echo->loop, (client_read(&client), client.has_ended));
    bool is_well = client.has_ended && echo->server.total_requests == before + 1;
    client_close(&client);
    return is_well;
}

static void test_early(struct echo *echo)
{
    check(reads_early(echo, CUT_NONE) && reads_early(echo, CUT_BYTES) &&
              reads_early(echo, CUT_RANDOM),
          "handshake: frames that come with the request are read");
    echo->is_late = true;
    check(reads_early(echo, CUT_NONE) && reads_early(echo, CUT_BYTES) &&
              reads_early(echo, CUT_RANDOM),
          "handshake: and so they are when the handler takes its time");
    check(closes_when_refused(echo), "handshake: refused later, nothing behind it is a request");
    echo->is_late = false;
    check(closes_when_refused(echo), "handshake: refused, nothing behind it is a request");

    struct client client;
    struct bytes bytes = {0};
    client_open(&client, echo, false, 0);
    int messages = echo->messages;
    bytes_append_text(&bytes, HANDSHAKE "\r\n");
    frame_append(&bytes, 0x81, "bye", 3);
    send(client.fd, bytes.data, bytes.len, 0);
    shutdown(client.fd, SHUT_WR);
    UNTIL(&echo->loop, echo->server.count == 0);
    check(echo->messages == messages + 1 && echo->code == 1006,
          "handshake: frames are read when the client leaves at once");
    client_close(&client);
    bytes_deinit(&bytes);
}

void test_ws_handshake(void)
{
    struct echo echo;
    echo_init(&echo);
    seed_cuts(2);
    test_requests(&echo);
    test_answer(&echo);
    test_origins(&echo);
    test_early(&echo);
    echo_deinit(&echo);
}
