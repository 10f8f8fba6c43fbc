/* The messages live_client has published and gets delivered: the time of publishing, padded. */
#include "live_message.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define STAMP_DIGITS 20

struct deliveries deliveries;

/* Letters that deflate to about half of their size, the same each time. */
static void pad(char *out, size_t size)
{
    uint32_t random = 1;
    for (size_t i = 0; i < size; i++) {
        random = random * 1664525 + 1013904223;
        out[i] = (char)('a' + (random >> 28));
    }
}

void message_make(char *out)
{
    char stamp[STAMP_DIGITS + 1];
    snprintf(stamp, sizeof(stamp), "%020llu", (unsigned long long)clock_ns(CLOCK_MONOTONIC));
    pad(out, deliveries.message_size);
    memcpy(out, stamp, STAMP_DIGITS);
}

/* Inflates a message of permessage-deflate without context takeover to `out`; its size. */
static size_t inflate_message(const char *bytes, size_t size, char *out)
{
    static z_stream stream;
    static bool is_ready;
    if (!is_ready && inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        errx(1, "no memory for zlib");
    is_ready = true;

    char whole[MESSAGE_SIZE_MAX + 4];
    memcpy(whole, bytes, size);
    memcpy(whole + size, "\0\0\xff\xff", 4); /* which the sender leaves out, RFC 7692 */
    inflateReset(&stream);
    stream.next_in = (unsigned char *)whole;
    stream.avail_in = (unsigned)size + 4;
    stream.next_out = (unsigned char *)out;
    stream.avail_out = MESSAGE_SIZE_MAX;
    int result = inflate(&stream, Z_SYNC_FLUSH);
    if ((result != Z_OK && result != Z_STREAM_END) || stream.avail_in)
        errx(1, "a delivery does not inflate");
    return MESSAGE_SIZE_MAX - stream.avail_out;
}

static uint64_t message_check(const char *bytes, size_t size)
{
    char stamp[STAMP_DIGITS + 1] = "";
    if (size != deliveries.message_size)
        errx(1, "a delivery has %zu bytes, the messages have %zu", size, deliveries.message_size);
    memcpy(stamp, bytes, STAMP_DIGITS);
    if (strspn(stamp, "0123456789") != STAMP_DIGITS)
        errx(1, "a delivery begins with \"%s\", the messages with the time", stamp);
    return strtoull(stamp, NULL, 10);
}

/* Everybody gets the same messages: what equals the last one is not checked and inflated again. */
void message_delivered(const char *bytes, size_t size, bool is_deflated)
{
    static char last[MESSAGE_SIZE_MAX], inflated[MESSAGE_SIZE_MAX];
    static size_t last_size;
    static uint64_t published_ns;
    if (deliveries.may_lack && size > 6 && memcmp(bytes, "{\"gap\"", 6) == 0) {
        deliveries.gaps++;
        return;
    }
    if (size > MESSAGE_SIZE_MAX)
        errx(1, "a delivery has %zu bytes", size);
    if (size != last_size || memcmp(bytes, last, size) != 0) {
        memcpy(last, bytes, last_size = size);
        if (is_deflated) {
            size = inflate_message(bytes, size, inflated);
            bytes = inflated;
        }
        published_ns = message_check(bytes, size);
    }
    deliveries.count++;
    deliveries.deflated += is_deflated;
    histogram_add(&deliveries.latency, clock_ns(CLOCK_MONOTONIC) - published_ns);
}
