/* The messages live_client has published and gets delivered: see live_message.h. */
#include "live_message.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define STAMP_DIGITS 20 /* of the time, and of the number */

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
    char stamps[2 * STAMP_DIGITS + 1];
    snprintf(stamps, sizeof(stamps), "%020llu%020llu",
             (unsigned long long)clock_ns(CLOCK_MONOTONIC), (unsigned long long)++deliveries.made);
    pad(out, deliveries.message_size);
    memcpy(out, stamps, sizeof(stamps) - 1);
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

static uint64_t stamp_read(const char *bytes)
{
    char stamp[STAMP_DIGITS + 1] = "";
    memcpy(stamp, bytes, STAMP_DIGITS);
    if (strspn(stamp, "0123456789") != STAMP_DIGITS)
        errx(1, "a delivery begins with \"%s\", the messages with the time and a number", stamp);
    return strtoull(stamp, NULL, 10);
}

/* A burst has one number. */
static void number_follow(uint64_t *seen, uint64_t number)
{
    if (number <= *seen)
        deliveries.again++;
    else
        deliveries.missing += number - *seen - 1;
    *seen = number;
}

/* Everybody gets the same messages: what equals the last one is not checked and inflated again. */
void message_delivered(uint64_t *seen, const char *bytes, size_t size, bool is_deflated)
{
    static char last[MESSAGE_SIZE_MAX], inflated[MESSAGE_SIZE_MAX];
    static size_t last_size;
    static uint64_t published_ns, number;
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
        if (size != deliveries.message_size)
            errx(1, "a delivery has %zu bytes, the messages have %zu", size,
                 deliveries.message_size);
        published_ns = stamp_read(bytes);
        number = stamp_read(bytes + STAMP_DIGITS);
    }
    number_follow(seen, number);
    deliveries.count++;
    deliveries.deflated += is_deflated;
    histogram_add(&deliveries.latency, clock_ns(CLOCK_MONOTONIC) - published_ns);
}
