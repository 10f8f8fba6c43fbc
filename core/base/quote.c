/* JSON strings. Written for speed: most text has nothing to escape and is copied in long runs. */
#include "base/quote.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

/* What a byte needs: nothing, an escape, or a look at the whole UTF-8 character. */
enum byte_class { PLAIN, ESCAPED, WIDE };

static enum byte_class class_of(unsigned char byte)
{
    if (byte >= 0x80)
        return WIDE;
    return byte < 0x20 || byte == '"' || byte == '\\' ? ESCAPED : PLAIN;
}

#define EVERY_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Whether one of eight bytes is not PLAIN. The usual bit trick: (x - n) & ~x has the top bit of a
 * byte that is less than n; a carry may only add wrong answers above a right one. */
static bool has_special(uint64_t word)
{
    uint64_t quote = word ^ EVERY_BYTE('"'), backslash = word ^ EVERY_BYTE('\\');
    uint64_t low = (word - EVERY_BYTE(0x20)) & ~word;
    uint64_t found = low | ((quote - EVERY_BYTE(1)) & ~quote) |
                     ((backslash - EVERY_BYTE(1)) & ~backslash) | word;
    return (found & EVERY_BYTE(0x80)) != 0;
}

/* How many bytes at the start are PLAIN. */
static size_t plain_len(const char *text, size_t len)
{
    size_t at = 0;
    for (uint64_t word; len - at >= sizeof word; at += sizeof word) {
        memcpy(&word, text + at, sizeof word);
        if (has_special(word))
            break;
    }
    while (at < len && class_of((unsigned char)text[at]) == PLAIN)
        at++;
    return at;
}

/* At most 6 bytes. */
static size_t put_escape(char *to, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[32] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    char letter = byte < 0x20 ? letters[byte] : (char)byte;
    to[0] = '\\';
    to[1] = letter ? letter : 'u';
    if (letter)
        return 2;
    to[2] = to[3] = '0';
    to[4] = hex[byte >> 4];
    to[5] = hex[byte & 15];
    return 6;
}

/* Appends the text from `at` on up to the end of the next character that is not PLAIN. Returns how
 * far it came, or 0: not UTF-8. There is room for 6 bytes more than the rest of the text. */
static size_t quote_run(struct bytes *out, const char *text, size_t at, size_t len)
{
    char *to = out->data + out->len;
    size_t run = plain_len(text + at, len - at);
    memcpy(to, text + at, run);
    out->len += run;
    at += run;
    if (at == len)
        return at;
    if (class_of((unsigned char)text[at]) == ESCAPED) {
        out->len += put_escape(to + run, (unsigned char)text[at]);
        return at + 1;
    }
    size_t wide = utf8_char(text + at, len - at);
    if (wide == 0)
        return 0;
    memcpy(to + run, text + at, wide);
    out->len += wide;
    return at + wide;
}

int quote_json(struct bytes *out, const char *text, size_t len)
{
    size_t start = out->len;
    int err = -ENOMEM;
    if (bytes_try_reserve(out, len + 8) < 0)
        return err;
    out->data[out->len++] = '"';
    for (size_t at = 0; at < len;) {
        if (out->cap - out->len < len - at + 7 && bytes_try_reserve(out, len - at + 7) < 0)
            goto undo;
        at = quote_run(out, text, at, len);
        if (at == 0) {
            err = -EILSEQ;
            goto undo;
        }
    }
    out->data[out->len++] = '"';
    return 0;

undo:
    out->len = start;
    return err;
}
