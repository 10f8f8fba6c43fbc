/* Tests of core/http's dates, status codes and gzip: each check prints `ok sentence` or `not ok
 * sentence`; formats_spec.lua reads them. */
#include "http/date.h"
#include "http/gzip.h"
#include "http/status.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static int failures;

static void check(bool is_ok, const char *sentence)
{
    printf("%s %s\n", is_ok ? "ok" : "not ok", sentence);
    failures += !is_ok;
}

/* ---- dates ---- */

static bool formats_as(time_t when, const char *expected)
{
    char text[DATE_LENGTH + 1];
    date_format(text, when);
    return strcmp(text, expected) == 0;
}

static bool parses_as(const char *text, time_t expected)
{
    time_t when = -1;
    return date_parse(text, strlen(text), &when) == 0 && when == expected;
}

static bool is_refused(const char *text)
{
    time_t when;
    return date_parse(text, strlen(text), &when) < 0;
}

static void test_dates(void)
{
    check(formats_as(784111777, "Sun, 06 Nov 1994 08:49:37 GMT") &&
              formats_as(0, "Thu, 01 Jan 1970 00:00:00 GMT") &&
              formats_as(951782400, "Tue, 29 Feb 2000 00:00:00 GMT") &&
              formats_as(INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
          "date: writes the form of RFC 9110, 29 bytes long whatever the time");
    check(parses_as("Sun, 06 Nov 1994 08:49:37 GMT", 784111777) &&
              parses_as("Sunday, 06-Nov-94 08:49:37 GMT", 784111777) &&
              parses_as("Sun Nov  6 08:49:37 1994", 784111777) &&
              parses_as("Wed Nov 16 08:49:37 1994", 784975777),
          "date: reads all three forms");
    check(is_refused("") && is_refused("Sun, 06 Nov 1994 08:49:37") &&
              is_refused("Sun, 6 Nov 1994 08:49:37 GMT") &&
              is_refused("Sun, 06 Nov 1994 08:49:37 GMT ") &&
              is_refused("Sun, 06 Nov 1994 24:00:00 GMT") &&
              is_refused("Sun, 31 Apr 1994 08:49:37 GMT") &&
              is_refused("Tue, 29 Feb 1900 00:00:00 GMT") &&
              is_refused("Sun, 00 Nov 1994 08:49:37 GMT") &&
              is_refused("Xyz, 06 Nov 1994 08:49:37 GMT") && is_refused("784111777") &&
              is_refused("Sun, 06 Nov -994 08:49:37 GMT"),
          "date: refuses everything else");
}

static void test_every_day(void)
{
    bool is_same = true;
    char text[DATE_LENGTH + 1];
    for (int64_t when = INT64_C(-62167219200); when <= INT64_C(253402300799);
         when += 86400 * 5 + 3661) {
        date_format(text, (time_t)when);
        is_same = is_same && strlen(text) == DATE_LENGTH && parses_as(text, (time_t)when);
    }
    check(is_same, "date: reads back what it wrote, from year 0 to 9999");
}

static void test_date_cache(void)
{
    struct date_cache cache = {0};
    check(strcmp(date_cache_line(&cache, 0), "Thu, 01 Jan 1970 00:00:00 GMT") == 0,
          "date: an empty cache works at second 0");
    const char *line = date_cache_line(&cache, 784111777);
    check(line == date_cache_line(&cache, 784111777) &&
              strcmp(line, "Sun, 06 Nov 1994 08:49:37 GMT") == 0,
          "date: the cache follows the clock");
}

static void test_status(void)
{
    check(strcmp(status_reason(200), "OK") == 0 && strcmp(status_reason(404), "Not Found") == 0 &&
              strcmp(status_reason(511), "Network Authentication Required") == 0 &&
              strcmp(status_reason(100), "Continue") == 0,
          "status: knows the registered reasons");
    check(strcmp(status_reason(299), "Unknown") == 0 &&
              strcmp(status_reason(999), "Unknown") == 0 &&
              strcmp(status_reason(-1), "Unknown") == 0,
          "status: has a word for any number");
}

/* ---- gzip ---- */

#define SAMPLE_LENGTH 300000

/* Text with repetitions, or noise, which does not shrink. */
static char *make_sample(bool is_noise)
{
    char *sample = malloc(SAMPLE_LENGTH);
    uint32_t random = 1;
    for (size_t i = 0; i < SAMPLE_LENGTH; i++) {
        random = random * 1664525 + 1013904223;
        sample[i] =
            is_noise ? (char)(random >> 24) : "the quick brown fox "[i % 20 ^ (random >> 28 == 0)];
    }
    return sample;
}

/* How many bytes of `packed` were unpacked into `out`, which holds SAMPLE_LENGTH; `is_whole`: up to
 * the end mark. */
static size_t unpack(const struct bytes *packed, char *out, bool *is_whole)
{
    z_stream zlib = {.next_in = (unsigned char *)packed->data, .avail_in = (unsigned)packed->len};
    zlib.next_out = (unsigned char *)out;
    zlib.avail_out = SAMPLE_LENGTH;
    inflateInit2(&zlib, 15 + 16);
    *is_whole = inflate(&zlib, Z_SYNC_FLUSH) == Z_STREAM_END && zlib.avail_in == 0;
    inflateEnd(&zlib);
    return SAMPLE_LENGTH - zlib.avail_out;
}

static bool survives(const char *sample, size_t len, char *scratch)
{
    struct bytes packed;
    bool is_whole;
    bytes_init(&packed);
    bytes_append_text(&packed, "head");
    bool is_ok = gzip_compress(sample, len, &packed) == 0 && memcmp(packed.data, "head", 4) == 0;
    bytes_consume(&packed, 4);
    is_ok = is_ok && unpack(&packed, scratch, &is_whole) == len && is_whole &&
            memcmp(scratch, sample, len) == 0;
    bytes_deinit(&packed);
    return is_ok;
}

static void test_gzip_at_once(const char *text, const char *noise, char *scratch)
{
    bool is_ok = true;
    for (size_t len = 0; len < 70000; len = len * 2 + 1)
        is_ok = is_ok && survives(text, len, scratch) && survives(noise, len, scratch);
    check(is_ok && survives(text, SAMPLE_LENGTH, scratch) &&
              survives(noise, SAMPLE_LENGTH, scratch),
          "gzip: text and noise of any length come back, after what the buffer held before");
    struct bytes packed = {0};
    gzip_compress(text, SAMPLE_LENGTH, &packed);
    check(packed.len < SAMPLE_LENGTH / 5, "gzip: text gets smaller");
    bytes_deinit(&packed);
}

static void test_gzip_stream(const char *text, const char *noise, char *scratch)
{
    struct bytes packed = {0};
    struct gzip *gzip =
        gzip_new(&(struct gzip_options){.level = 1, .window_bits = 12, .mem_level = 5});
    bool is_whole, sees_all = true;
    size_t sent = 0;
    for (size_t step = 1; sent + step < SAMPLE_LENGTH; sent += step, step *= 3) {
        gzip_write(gzip, text + sent, step, GZIP_FLUSH, &packed);
        sees_all = sees_all && unpack(&packed, scratch, &is_whole) == sent + step && !is_whole;
    }
    check(sees_all && memcmp(scratch, text, sent) == 0,
          "gzip: after a flush the client sees all that was written");
    size_t before = packed.len;
    for (int i = 0; i < 10; i++)
        gzip_write(gzip, "x", 1, GZIP_MORE, &packed);
    check(packed.len - before < 64, "gzip: without a flush small writes wait");
    gzip_write(gzip, noise, 10000, GZIP_MORE, &packed);
    gzip_write(gzip, NULL, 0, GZIP_END, &packed);
    check(unpack(&packed, scratch, &is_whole) == sent + 10010 && is_whole,
          "gzip: the end ends the stream");
    gzip_free(gzip);
    gzip_free(gzip_new(NULL));
    gzip_free(NULL);
    bytes_deinit(&packed);
}

static bool accepts(const char *header)
{
    return gzip_coding_is_accepted(header, strlen(header), "gzip");
}

static void test_gzip_choice(void)
{
    check(gzip_is_worthwhile("text/html; charset=utf-8") &&
              gzip_is_worthwhile("Application/JSON") && gzip_is_worthwhile("image/svg+xml") &&
              gzip_is_worthwhile("application/ld+json;x") && gzip_is_worthwhile("application/wasm"),
          "gzip: is worthwhile for text");
    check(!gzip_is_worthwhile("image/png") && !gzip_is_worthwhile("text/event-stream") &&
              !gzip_is_worthwhile(NULL) && !gzip_is_worthwhile("") &&
              !gzip_is_worthwhile("application/zip") && !gzip_is_worthwhile("text/"),
          "gzip: is not for what is packed or lives long");
    check(accepts("gzip") && accepts("deflate, GZIP;q=0.5") && accepts("*") &&
              accepts("gzip;q=1") && accepts("*;q=0, gzip") && accepts("gzip ; q=0.001") &&
              gzip_coding_is_accepted("gzip;q=0, br", 12, "br"),
          "gzip: is accepted by name or by a star");
    check(!accepts("") && !accepts("br") && !accepts("gzip;q=0") && !accepts("gzip; q=0.000") &&
              !accepts("*;q=0") && !accepts("*, gzip;q=0") && !accepts("gzipped") &&
              !accepts("identity"),
          "gzip: is not accepted with q=0 or under another name");
}

int main(void)
{
    char *text = make_sample(false), *noise = make_sample(true), *scratch = malloc(SAMPLE_LENGTH);
    test_dates();
    test_every_day();
    test_date_cache();
    test_status();
    test_gzip_at_once(text, noise, scratch);
    test_gzip_stream(text, noise, scratch);
    test_gzip_choice();
    free(text);
    free(noise);
    free(scratch);
    return failures > 0;
}
