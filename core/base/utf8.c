/* UTF-8, after table 3-7 of the Unicode standard: the first byte decides the length and the range
 * of the second byte; all others are 80..BF. */
#include "base/utf8.h"

#include <string.h>

static bool is_tail(unsigned char byte)
{
    return (byte & 0xC0) == 0x80;
}

static bool is_between(unsigned char byte, unsigned char low, unsigned char high)
{
    return byte >= low && byte <= high;
}

/* The second byte of a three-byte character: no overlong form (E0 80), no surrogate (ED A0). */
static bool is_second_of_three(unsigned char first, unsigned char second)
{
    return is_between(second, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF);
}

/* The second byte of a four-byte character: no overlong form (F0 80), nothing past U+10FFFF (F4
 * 90). */
static bool is_second_of_four(unsigned char first, unsigned char second)
{
    return is_between(second, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF);
}

size_t utf8_char(const char *text, size_t len)
{
    const unsigned char *at = (const unsigned char *)text;
    if (len == 0)
        return 0;
    if (at[0] < 0x80)
        return 1;
    if (is_between(at[0], 0xC2, 0xDF))
        return len >= 2 && is_tail(at[1]) ? 2 : 0;
    if (is_between(at[0], 0xE0, 0xEF))
        return len >= 3 && is_second_of_three(at[0], at[1]) && is_tail(at[2]) ? 3 : 0;
    if (is_between(at[0], 0xF0, 0xF4))
        return len >= 4 && is_second_of_four(at[0], at[1]) && is_tail(at[2]) && is_tail(at[3]) ? 4
                                                                                               : 0;
    return 0;
}

/* Whether the next eight bytes are all ASCII: most text is, which makes the check fast. */
static bool is_ascii_word(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof word);
    return (word & UINT64_C(0x8080808080808080)) == 0;
}

bool utf8_is_valid(const char *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        if (len - at >= 8 && is_ascii_word(text + at)) {
            at += 8;
            continue;
        }
        size_t step = utf8_char(text + at, len - at);
        if (step == 0)
            return false;
        at += step;
    }
    return true;
}

/* ---- in pieces ---- */

static bool stream_begin(struct utf8_stream *stream, unsigned char first)
{
    stream->low = 0x80;
    stream->high = 0xBF;
    if (first < 0x80) {
        stream->missing = 0;
    } else if (is_between(first, 0xC2, 0xDF)) {
        stream->missing = 1;
    } else if (is_between(first, 0xE0, 0xEF)) {
        stream->missing = 2;
        stream->low = first == 0xE0 ? 0xA0 : 0x80;
        stream->high = first == 0xED ? 0x9F : 0xBF;
    } else if (is_between(first, 0xF0, 0xF4)) {
        stream->missing = 3;
        stream->low = first == 0xF0 ? 0x90 : 0x80;
        stream->high = first == 0xF4 ? 0x8F : 0xBF;
    } else {
        return false;
    }
    return true;
}

static bool stream_go_on(struct utf8_stream *stream, unsigned char byte)
{
    if (!is_between(byte, stream->low, stream->high))
        return false;
    stream->low = 0x80;
    stream->high = 0xBF;
    stream->missing--;
    return true;
}

bool utf8_stream_feed(struct utf8_stream *stream, const char *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        if (stream->missing == 0 && len - at >= 8 && is_ascii_word(text + at)) {
            at += 8;
            continue;
        }
        unsigned char byte = (unsigned char)text[at++];
        if (stream->missing > 0 ? !stream_go_on(stream, byte) : !stream_begin(stream, byte))
            return false;
    }
    return true;
}
