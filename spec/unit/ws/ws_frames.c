/* Frames: what RFC 6455 asks for, case by case. Each case is fed whole, byte by byte and cut at
 * random, and must end the same way. */
#include "ws_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Frames are written as "81:hello", the first byte in hexadecimal, and separated by "|". What a
 * client sends may also be raw bytes: "=8180". Each case ends with the client's Close if the server
 * has not closed before. */
struct frame_case {
    const char *sentence;
    const char *sends;
    const char *receives;
    int code; /* told to on_close */
};

#define BYE "|88:\x03\xe8"
#define PROTOCOL "88:\x03\xea"
#define INVALID "88:\x03\xef"
#define TOO_BIG "88:\x03\xf1"
#define CHARS_50 "12345678901234567890123456789012345678901234567890"
#define CHARS_125 CHARS_50 CHARS_50 "1234567890123456789012345"

static const struct frame_case cases[] = {
    {"echoes text", "81:hello", "81:hello" BYE, 1000},
    {"echoes binary", "82:\xff\xfe", "82:\xff\xfe" BYE, 1000},
    {"echoes an empty message", "81:|82:", "81:|82:" BYE, 1000},
    {"echoes 125, 126 and 127 bytes", "81:" CHARS_125 "|81:" CHARS_125 "6|81:" CHARS_125 "67",
     "81:" CHARS_125 "|81:" CHARS_125 "6|81:" CHARS_125 "67" BYE, 1000},
    {"joins fragments", "01:Hel|00:lo|80:!", "81:Hello!" BYE, 1000},
    {"joins empty fragments", "01:|00:|80:", "81:" BYE, 1000},
    {"takes pings between fragments", "01:a|89:p|80:b", "8a:p|81:ab" BYE, 1000},
    {"answers pings with their payload", "89:|89:hello|89:" CHARS_125,
     "8a:|8a:hello|8a:" CHARS_125 BYE, 1000},
    {"ignores pongs", "8a:nobody asked|81:x", "81:x" BYE, 1000},
    {"refuses a ping of 126 bytes", "=89fe007e00000000", PROTOCOL, 1002},
    {"refuses a control frame in fragments", "09:x|80:y", PROTOCOL, 1002},
    {"refuses a continuation of nothing", "80:x", PROTOCOL, 1002},
    {"refuses a continuation after a whole message", "81:a|80:x", "81:a|" PROTOCOL, 1002},
    {"refuses a new message inside of another", "01:a|81:b", PROTOCOL, 1002},
    {"refuses RSV1 without an extension", "c1:x", PROTOCOL, 1002},
    {"refuses RSV2", "a1:x", PROTOCOL, 1002},
    {"refuses RSV3", "91:x", PROTOCOL, 1002},
    {"refuses RSV1 on a ping", "c9:x", PROTOCOL, 1002},
    {"refuses opcode 3", "83:x", PROTOCOL, 1002},
    {"refuses opcode 7", "87:x", PROTOCOL, 1002},
    {"refuses opcode 11", "8b:x", PROTOCOL, 1002},
    {"refuses opcode 15", "8f:x", PROTOCOL, 1002},
    {"refuses a frame without a mask", "=810161", PROTOCOL, 1002},
    {"refuses an empty frame without a mask", "=8100", PROTOCOL, 1002},
    {"refuses a 16-bit length that 7 bits could say", "=81fe00050000000068656c6c6f", PROTOCOL,
     1002},
    {"refuses a 64-bit length that 16 bits could say", "=81ff00000000000000050000000068656c6c6f",
     PROTOCOL, 1002},
    {"refuses a length of 2^63 at the head", "=82ff800000000000000000000000", PROTOCOL, 1002},
    {"refuses a length of 2^64-1 at the head", "=82ffffffffffffffffff00000000", PROTOCOL, 1002},
    {"refuses a length of 2^63-1 at the head", "=82ff7fffffffffffffff00000000", TOO_BIG, 1009},
    {"refuses a length over the limit at the head", "=82ff000000000010000100000000", TOO_BIG, 1009},
    {"refuses a message that grows over the limit", "01:abc|=80ff00000000000ffffe00000000", TOO_BIG,
     1009},
    {"takes UTF-8 cut within a character", "01:\xce|00:\xba\xe1|00:\xbd|80:\xb9",
     "81:\xce\xba\xe1\xbd\xb9" BYE, 1000},
    {"takes the last character of Unicode", "81:\xf4\x8f\xbf\xbf", "81:\xf4\x8f\xbf\xbf" BYE, 1000},
    {"refuses a character past the last", "81:\xf4\x90\x80\x80", INVALID, 1007},
    {"refuses a surrogate", "81:\xed\xa0\x80", INVALID, 1007},
    {"refuses an overlong form", "81:\xc0\xaf", INVALID, 1007},
    {"refuses text that ends within a character", "81:\xce", INVALID, 1007},
    {"refuses fragments that end within a character", "01:ab|80:\xe2\x82", INVALID, 1007},
    {"refuses bad text at its first byte", "01:ok\xff|=00", INVALID, 1007},
    {"refuses bad text within a frame that goes on", "=818a00000000ff", INVALID, 1007},
    {"lets binary be anything", "02:\xff|80:\xc0", "82:\xff\xc0" BYE, 1000},
    {"echoes a close with its code", "88:\x03\xe9going", "88:\x03\xe9", 1001},
    {"echoes a close without a code", "88:", "88:", 1005},
    {"refuses a close of one byte", "88:x", PROTOCOL, 1002},
    {"ignores what follows a close", "88:\x03\xe8|81:x|83:x", "88:\x03\xe8", 1000},
    {"takes 1003 as a close code", "88:\x03\xeb", "88:\x03\xeb", 1003},
    {"takes 1007 as a close code", "88:\x03\xef", "88:\x03\xef", 1007},
    {"takes 1014 as a close code", "88:\x03\xf6", "88:\x03\xf6", 1014},
    {"takes 3000 as a close code", "88:\x0b\xb8", "88:\x0b\xb8", 3000},
    {"takes 4999 as a close code", "88:\x13\x87", "88:\x13\x87", 4999},
    {"refuses close code 0",
     "=88820000000000"
     "00",
     PROTOCOL, 1002},
    {"refuses close code 999", "88:\x03\xe7", PROTOCOL, 1002},
    {"refuses close code 1004", "88:\x03\xec", PROTOCOL, 1002},
    {"refuses close code 1005", "88:\x03\xed", PROTOCOL, 1002},
    {"refuses close code 1006", "88:\x03\xee", PROTOCOL, 1002},
    {"refuses close code 1015", "88:\x03\xf7", PROTOCOL, 1002},
    {"refuses close code 1016", "88:\x03\xf8", PROTOCOL, 1002},
    {"refuses close code 2999", "88:\x0b\xb7", PROTOCOL, 1002},
    {"refuses close code 5000", "88:\x13\x88", PROTOCOL, 1002},
    {"refuses close code 65535", "88:\xff\xff", PROTOCOL, 1002},
    {"refuses a close reason that is not UTF-8", "88:\x03\xe8\xff", INVALID, 1007},
    {"closes when told to", "81:close|81:too late|88:\x0f\xa1",
     "81:close|88:\x0f\xa1"
     "as you wish",
     4001},
};

static void append_hex(struct bytes *bytes, const char *text, size_t len)
{
    for (size_t i = 0; i + 1 < len; i += 2) {
        char digits[3] = {text[i], text[i + 1], 0};
        char byte = (char)strtoul(digits, NULL, 16);
        bytes_append(bytes, &byte, 1);
    }
}

static void append_frames(struct bytes *bytes, const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "|");
        if (*text == '=')
            append_hex(bytes, text + 1, len - 1);
        else
            frame_append(bytes, (unsigned)strtoul(text, NULL, 16), text + 3, len - 3);
        text += len + (text[len] == '|');
    }
}

/* All frames until the server ends, in the notation of the cases. */
static void read_frames(struct client *client, struct bytes *text)
{
    struct bytes payload = {0};
    int first;
    while ((first = client_next(client, &payload)) >= 0) {
        bytes_printf(text, "%s%02x:", text->len ? "|" : "", (unsigned)first);
        bytes_append(text, payload.data, payload.len);
    }
    bytes_append(text, "", 1);
    bytes_deinit(&payload);
}

static bool ends_as_told(struct echo *echo, const struct frame_case *one, enum cut cut)
{
    struct client client;
    struct bytes frames = {0};
    struct bytes text = {0};
    int closed = echo->closed;
    client_open(&client, echo, false, 0);
    bool is_well = client_shake_hands(&client, "", NULL) == 101;
    append_frames(&frames, one->sends);
    append_frames(&frames, "88:\x03\xe8");
    client_send(&client, frames.data, frames.len, cut);
    read_frames(&client, &text);
    is_well = is_well && strcmp(text.data, one->receives) == 0 && client.has_ended &&
              !client.was_reset && echo->closed == closed + 1 && echo->code == one->code;
    if (!is_well)
        printf("# cut %d: got \"%s\", code %d\n", cut, text.data, echo->code);
    client_close(&client);
    bytes_deinit(&frames);
    bytes_deinit(&text);
    return is_well;
}

static bool test_case(struct echo *echo, const struct frame_case *one)
{
    bool is_well = true;
    for (enum cut cut = CUT_NONE; cut < CUTS; cut++)
        is_well = ends_as_told(echo, one, cut) && is_well;
    return is_well;
}

static void test_cases(struct echo *echo)
{
    size_t count = sizeof(cases) / sizeof(cases[0]);
    char sentence[128];
    for (size_t i = 0; i < count; i++) {
        snprintf(sentence, sizeof(sentence), "websocket: %s", cases[i].sentence);
        check(test_case(echo, &cases[i]), sentence);
    }

    bool is_well = true;
    echo->pauses = true;
    for (size_t i = 0; i < count; i++)
        is_well = test_case(echo, &cases[i]) && is_well;
    echo->pauses = false;
    check(is_well, "websocket: all of that also when the application pauses after each message");
}

/* Sizes at which the length changes its form, and a message larger than any buffer. */
static void test_sizes(struct echo *echo)
{
    static const size_t sizes[] = {0, 125, 126, 4095, 4096, 65535, 65536, 1 << 20};
    bool is_well = true;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct client client;
        struct bytes sent = {0};
        struct bytes got = {0};
        char *data = malloc(sizes[i] + 1);
        fill_pattern(data, sizes[i], (uint32_t)i);
        frame_append(&sent, 0x82, data, sizes[i]);
        client_open(&client, echo, true, 0);
        client_shake_hands(&client, "", NULL);
        client_send(&client, sent.data, sent.len, CUT_NONE);
        int first = client_next(&client, &got);
        is_well = is_well && first == 0x82 && got.len == sizes[i] &&
                  memcmp(got.data ? got.data : "", data, sizes[i]) == 0;
        client_close(&client);
        bytes_deinit(&sent);
        bytes_deinit(&got);
        free(data);
    }
    check(is_well, "websocket: echoes messages of every form of length, up to the limit");
}

/* A refused message may still be on its way: our Close must reach the client all the same. */
static void test_too_large(struct echo *echo)
{
    struct client client;
    struct bytes sent = {0};
    struct bytes got = {0};
    size_t len = 4 << 20;
    char *data = calloc(1, len);
    frame_append(&sent, 0x82, data, len);
    client_open(&client, echo, true, 0);
    client_shake_hands(&client, "", NULL);
    client_send(&client, sent.data, sent.len, CUT_NONE);
    int first = client_next(&client, &got);
    check(first == 0x88 && got.len == 2 && memcmp(got.data, "\x03\xf1", 2) == 0 &&
              !client.was_reset && echo->longest < len,
          "websocket: a client in the middle of a message that is too large still gets the code");
    client_close(&client);
    bytes_deinit(&sent);
    bytes_deinit(&got);
    free(data);
}

/* Frames of any kind, with some bytes changed. Whatever they are, each WebSocket ends once, and the
 * server lives on. */
static void append_noise(struct bytes *bytes)
{
    static const unsigned char firsts[] = {0x81, 0x82, 0x01, 0x02, 0x00, 0x80,
                                           0x89, 0x8a, 0x88, 0xc1, 0x41};
    char payload[300];
    size_t frames = 1 + random_below(6);
    for (size_t i = 0; i < frames; i++) {
        size_t len = random_below(4) ? random_below(20) : random_below(sizeof(payload));
        for (size_t j = 0; j < len; j++)
            payload[j] = (char)(random_below(8) ? 'a' + random_below(26) : random_below(256));
        frame_append(bytes, firsts[random_below(sizeof(firsts))], payload, len);
    }
    for (uint32_t changes = random_below(3); changes > 0; changes--)
        bytes->data[random_below((uint32_t)bytes->len)] = (char)random_below(256);
}

static void test_noise(struct echo *echo)
{
    int opened = echo->opened;
    int closed = echo->closed;
    struct bytes bytes = {0};
    for (int i = 0; i < 3000; i++) {
        struct client client;
        bytes_clear(&bytes);
        append_noise(&bytes);
        echo->pauses = random_below(2);
        client_open(&client, echo, false, 0);
        client_shake_hands(&client, random_below(2) ? DEFLATE_LINE : "", NULL);
        client_send(&client, bytes.data, bytes.len, CUT_RANDOM);
        client_close(&client);
    }
    echo->pauses = false;
    check(echo->opened == opened + 3000 && echo->closed == closed + 3000,
          "websocket: 3,000 times noise, and each ends once");
    bytes_deinit(&bytes);
}

void test_ws_frames(void)
{
    struct echo echo;
    echo_init(&echo);
    seed_cuts(1);
    test_cases(&echo);
    test_sizes(&echo);
    test_too_large(&echo);
    test_noise(&echo);
    echo_deinit(&echo);
}
