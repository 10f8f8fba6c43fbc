/* permessage-deflate: which offers are taken, messages in both directions, and what must not be
 * inflated. */
#include "ws_support.h"

#include "ws/ws_deflate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* ---- offers ---- */

struct offer_case {
    const char *lines;
    const char *answer; /* what follows the two no_context_takeover, or NULL: none is taken */
};

#define EXT "Sec-WebSocket-Extensions: "

static const struct offer_case offers[] = {
    {EXT "permessage-deflate\r\n", ""},
    {EXT "Permessage-Deflate ; Client_max_window_bits\r\n", ""},
    {EXT "permessage-deflate; client_max_window_bits\r\n", ""},
    {EXT "permessage-deflate; client_max_window_bits=8\r\n", ""},
    {EXT "permessage-deflate; client_max_window_bits=15\r\n", ""},
    {EXT "permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n", ""},
    {EXT "permessage-deflate; server_max_window_bits=9\r\n", "; server_max_window_bits=9"},
    {EXT "permessage-deflate; server_max_window_bits=\"12\"\r\n", "; server_max_window_bits=12"},
    {EXT "permessage-deflate; server_max_window_bits=15\r\n", "; server_max_window_bits=15"},
    {EXT "x-webkit-deflate-frame, permessage-deflate\r\n", ""},
    {EXT "mux; max=4; x=\"a, b\", permessage-deflate\r\n", ""},
    {EXT "foo\r\n" EXT "permessage-deflate\r\n", ""},
    {EXT "permessage-deflate; server_max_window_bits=8, permessage-deflate\r\n", ""},
    {EXT "permessage-deflate; server_max_window_bits=10, permessage-deflate\r\n",
     "; server_max_window_bits=10"},
    {EXT "permessage-deflate; =, ;, , permessage-deflate\r\n", ""},
    {EXT "permessage-deflate; server_max_window_bits=8\r\n", NULL},
    {EXT "permessage-deflate; server_max_window_bits=16\r\n", NULL},
    {EXT "permessage-deflate; server_max_window_bits=09\r\n", NULL},
    {EXT "permessage-deflate; server_max_window_bits=-9\r\n", NULL},
    {EXT "permessage-deflate; server_max_window_bits\r\n", NULL},
    {EXT "permessage-deflate; server_max_window_bits=\r\n", NULL},
    {EXT "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9\r\n", NULL},
    {EXT "permessage-deflate; client_max_window_bits=7\r\n", NULL},
    {EXT "permessage-deflate; client_max_window_bits=\"\r\n", NULL},
    {EXT "permessage-deflate; server_no_context_takeover=1\r\n", NULL},
    {EXT "permessage-deflate; unknown\r\n", NULL},
    {EXT "permessage-deflate unknown\r\n", NULL},
    {EXT "permessage-deflate;\r\n", NULL},
    {EXT "permessage-deflat\r\n", NULL},
    {EXT "\r\n", NULL},
    {"", NULL},
};

static bool answers_offer(struct echo *echo, const struct offer_case *one)
{
    struct client client;
    struct bytes head = {0};
    char line[256];
    client_open(&client, echo, false, 0);
    bool is_well = client_shake_hands(&client, one->lines, &head) == 101;
    snprintf(line, sizeof(line),
             "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
             "client_no_context_takeover%s\r\n",
             one->answer ? one->answer : "");
    bytes_append(&head, "", 1);
    is_well = is_well && echo->offer.can_deflate == (one->answer != NULL) &&
              (one->answer ? strstr(head.data, line) != NULL
                           : strstr(head.data, "Sec-WebSocket-Extensions") == NULL);
    if (!is_well)
        printf("# %s%s", one->lines, head.data);
    client_close(&client);
    bytes_deinit(&head);
    return is_well;
}

static void test_offers(struct echo *echo)
{
    bool is_well = true;
    for (size_t i = 0; i < sizeof(offers) / sizeof(offers[0]); i++)
        is_well = answers_offer(echo, &offers[i]) && is_well;
    check(is_well, "deflate: takes the first offer it can take, and declines the others");

    echo->options.deflate = false;
    struct offer_case none = {EXT "permessage-deflate\r\n", NULL};
    struct client client;
    struct bytes head = {0};
    client_open(&client, echo, false, 0);
    client_shake_hands(&client, none.lines, &head);
    check(!memmem(head.data, head.len, "Extensions", 10), "deflate: can be switched off");
    client_close(&client);
    bytes_deinit(&head);
    echo->options.deflate = true;
}

/* ---- messages ---- */

/* As a client does it; `bits` < 0, as zlib wants them. Without the tail. */
static void deflate_with(struct bytes *out, const void *data, size_t len, int bits, int flush)
{
    z_stream zlib = {0};
    deflateInit2(&zlib, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY);
    bytes_reserve(out, len + len / 8 + 64);
    zlib.next_in = (unsigned char *)(uintptr_t)data;
    zlib.avail_in = (unsigned)len;
    zlib.next_out = (unsigned char *)out->data + out->len;
    zlib.avail_out = (unsigned)(len + len / 8 + 64);
    deflate(&zlib, flush);
    out->len += zlib.total_out - (flush == Z_FINISH ? 0 : 4);
    deflateEnd(&zlib);
}

static bool inflates_to(const struct bytes *deflated, int bits, const void *data, size_t len)
{
    z_stream zlib = {0};
    struct bytes in = {0};
    char *out = malloc(len + 1);
    inflateInit2(&zlib, -bits);
    bytes_append(&in, deflated->data, deflated->len);
    bytes_append(&in, "\0\0\xff\xff", 4);
    zlib.next_in = (unsigned char *)in.data;
    zlib.avail_in = (unsigned)in.len;
    zlib.next_out = (unsigned char *)out;
    zlib.avail_out = (unsigned)len + 1;
    inflate(&zlib, Z_SYNC_FLUSH);
    bool is_same = zlib.total_out == len && memcmp(out, data, len) == 0;
    inflateEnd(&zlib);
    bytes_deinit(&in);
    free(out);
    return is_same;
}

/* Words with enough repetition to shrink, and enough of a pattern to notice what is missing. */
static char *make_text(size_t len, uint32_t seed)
{
    char *text = malloc(len + 1);
    seed_cuts(seed);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)('a' + random_below(5));
    return text;
}

static bool echoes_deflated(struct echo *echo, int bits, size_t len, enum cut cut)
{
    struct client client;
    struct bytes deflated = {0};
    struct bytes frames = {0};
    struct bytes got = {0};
    char line[128];
    char *text = make_text(len, (uint32_t)len);
    snprintf(line, sizeof(line), EXT "permessage-deflate; server_max_window_bits=%d\r\n", bits);
    client_open(&client, echo, false, 0);
    client_shake_hands(&client, line, NULL);
    deflate_with(&deflated, text, len, -15, Z_SYNC_FLUSH);
    size_t half = deflated.len / 2;
    frame_append(&frames, 0x41, deflated.data, half);
    frame_append(&frames, 0x89, "", 0);
    frame_append(&frames, 0x80, deflated.data + half, deflated.len - half);
    client_send(&client, frames.data, frames.len, cut);
    bool is_well = client_next(&client, &got) == 0x8a;
    int first = client_next(&client, &got);
    if (len < WS_DEFLATE_MIN)
        is_well = is_well && first == 0x81 && got.len == len && memcmp(got.data, text, len) == 0;
    else
        is_well = is_well && first == 0xc1 && got.len < len && inflates_to(&got, bits, text, len);
    client_close(&client);
    bytes_deinit(&deflated);
    bytes_deinit(&frames);
    bytes_deinit(&got);
    free(text);
    return is_well;
}

static void test_messages(struct echo *echo)
{
    static const size_t sizes[] = {1, 63, 64, 249, 250, 251, 1000, 16384, 16385, 65536, 300000};
    bool is_well = true;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        is_well = echoes_deflated(echo, 15, sizes[i], CUT_NONE) && is_well;
        is_well = echoes_deflated(echo, 9, sizes[i], CUT_NONE) && is_well;
    }
    check(is_well, "deflate: messages of many sizes come back, in windows of 9 and 15 bits");
    check(echoes_deflated(echo, 12, 500, CUT_BYTES) && echoes_deflated(echo, 15, 5000, CUT_RANDOM),
          "deflate: and so they do in small pieces");
}

/* A message sent as one compressed frame; how the server's answer begins, and its payload. */
static int exchange(struct echo *echo, unsigned first, const void *data, size_t len,
                    struct bytes *got)
{
    struct client client;
    struct bytes frames = {0};
    client_open(&client, echo, false, 0);
    client_shake_hands(&client, DEFLATE_LINE, NULL);
    frame_append(&frames, first, data, len);
    client_send(&client, frames.data, frames.len, CUT_NONE);
    int answer = client_next(&client, got);
    client_close(&client);
    bytes_deinit(&frames);
    return answer;
}

static bool is_refused(struct echo *echo, unsigned first, const void *data, size_t len, int code)
{
    struct bytes got = {0};
    int answer = exchange(echo, first, data, len, &got);
    bool is_well = answer == 0x88 && got.len == 2 && got.data[0] == (char)(code >> 8) &&
                   got.data[1] == (char)code;
    bytes_deinit(&got);
    return is_well;
}

static bool is_echoed(struct echo *echo, const void *data, size_t len, const char *text)
{
    struct bytes got = {0};
    bool is_well = exchange(echo, 0xc1, data, len, &got) == 0x81 && got.len == strlen(text) &&
                   memcmp(got.data ? got.data : "", text, got.len) == 0;
    bytes_deinit(&got);
    return is_well;
}

static void test_forms(struct echo *echo)
{
    check(is_echoed(echo, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, "Hello"),
          "deflate: reads the RFC's example");
    check(is_echoed(echo, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, "Hello"),
          "deflate: reads the RFC's example of a last block");
    check(is_echoed(echo, "\xf3\x48\xcd\xc9\xc9\x07\x00", 7, "Hello"),
          "deflate: reads a last block without padding");
    check(is_echoed(echo, "\x00\x05\x00\xfa\xffHello\x00", 11, "Hello"),
          "deflate: reads the RFC's example of a stored block");
    check(is_echoed(echo, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13, "Hello"),
          "deflate: reads the RFC's example of two blocks");
    check(is_echoed(echo, "\x00", 1, ""), "deflate: reads an empty message");

    check(is_refused(echo, 0xc1, "\xff\xff\xff\xff", 4, 1007), "deflate: refuses garbage");
    check(is_refused(echo, 0xc1, "\xf2\x48\xcd", 3, 1007), "deflate: refuses a message cut off");
    check(is_refused(echo, 0xc9, "", 0, 1002), "deflate: refuses RSV1 on a ping");
    check(is_refused(echo, 0xe1, "", 0, 1002), "deflate: refuses RSV2 beside RSV1");
    check(is_refused(echo, 0xc0, "", 0, 1002), "deflate: refuses RSV1 on a continuation");

    struct bytes bad = {0};
    deflate_with(&bad, "good\xff", 5, -15, Z_SYNC_FLUSH);
    check(is_refused(echo, 0xc1, bad.data, bad.len, 1007),
          "deflate: refuses what is not UTF-8 when inflated");
    bytes_clear(&bad);
    deflate_with(&bad, "cut\xe2\x82", 5, -15, Z_SYNC_FLUSH);
    check(is_refused(echo, 0xc1, bad.data, bad.len, 1007),
          "deflate: refuses text that ends within a character");
    bytes_deinit(&bad);
}

/* ---- bombs ---- */

static void test_bombs(struct echo *echo)
{
    size_t len = 64 << 20;
    struct bytes bomb = {0};
    char *zeros = calloc(1, 1 << 20);
    z_stream zlib = {0};
    deflateInit2(&zlib, 6, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY);
    bytes_reserve(&bomb, 1 << 20);
    zlib.next_out = (unsigned char *)bomb.data;
    zlib.avail_out = 1 << 20;
    for (size_t done = 0; done < len; done += 1 << 20) {
        zlib.next_in = (unsigned char *)zeros;
        zlib.avail_in = 1 << 20;
        deflate(&zlib, Z_NO_FLUSH);
    }
    deflate(&zlib, Z_SYNC_FLUSH);
    bomb.len = zlib.total_out - 4;
    deflateEnd(&zlib);

    size_t before = heap_used();
    echo->longest = 0;
    check(is_refused(echo, 0xc2, bomb.data, bomb.len, 1009) && echo->longest == 0,
          "deflate: 64 MiB in 64 KiB end at the limit");
    check(heap_grown(before) < 256 << 10, "deflate: and leave no memory behind");

    bytes_clear(&bomb);
    deflate_with(&bomb, zeros, 1 << 20, -15, Z_SYNC_FLUSH);
    struct bytes got = {0};
    check(exchange(echo, 0xc2, bomb.data, bomb.len, &got) == 0xc2 && echo->longest == 1 << 20,
          "deflate: a message just at the limit is taken");
    char *noise = malloc(1 << 20);
    fill_pattern(noise, 1 << 20, 7);
    bytes_clear(&bomb);
    deflate_with(&bomb, noise, 1 << 20, -15, Z_SYNC_FLUSH);
    check(bomb.len > 1 << 20 && exchange(echo, 0xc2, bomb.data, bomb.len, &got) == 0x82,
          "deflate: so it is when compressing made it longer");
    bytes_deinit(&got);
    bytes_deinit(&bomb);
    free(noise);
    free(zeros);
}

/* ---- frames for many ---- */

static void test_shared(void)
{
    char *text = make_text(40000, 3);
    struct blob *plain = ws_frame_new(text, 40000, true);
    struct blob *deflated = ws_frame_deflated_new(text, 40000, true);
    struct bytes payload = {0};
    bytes_append(&payload, deflated->data + 4, deflated->len - 4);
    check(plain->len == 40004 && (unsigned char)plain->data[0] == 0x81 &&
              memcmp(plain->data + 4, text, 40000) == 0,
          "deflate: a shared frame");
    check((unsigned char)deflated->data[0] == 0xc1 && inflates_to(&payload, 15, text, 40000),
          "deflate: a shared frame, compressed");
    check(!ws_frame_deflated_new(text, 63, true), "deflate: short messages are not compressed");
    fill_pattern(text, 40000, 1);
    check(!ws_frame_deflated_new(text, 40000, false),
          "deflate: what does not shrink is not compressed");
    bytes_deinit(&payload);
    blob_drop(plain);
    blob_drop(deflated);
    free(text);
}

void test_ws_deflate(void)
{
    struct echo echo;
    echo_init(&echo);
    test_offers(&echo);
    test_messages(&echo);
    test_forms(&echo);
    test_bombs(&echo);
    test_shared();
    echo_deinit(&echo);
}
