/* UTF-8: is it, and where does it stop being it. Overlong forms, surrogates and anything past
 * U+10FFFF are not UTF-8. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many bytes the first character has (1 to 4), or 0: it is not UTF-8, or cut off. */
size_t utf8_char(const char *text, size_t len);
bool utf8_is_valid(const char *text, size_t len);

/* Text that comes in pieces, cut anywhere. All zero to begin with. */
struct utf8_stream {
    uint8_t missing; /* bytes that the last character still needs */
    uint8_t low;     /* and the range of the first of them */
    uint8_t high;
};

/* False at the first byte that no more bytes could make right. */
bool utf8_stream_feed(struct utf8_stream *stream, const char *text, size_t len);
static inline bool utf8_stream_is_whole(const struct utf8_stream *stream)
{
    return stream->missing == 0;
}

#endif
