/* Cursors as text. There is one way to write each, so that equal cursors are equal texts. */
#include "live/cursor.h"

#include "base/text.h"

#include <errno.h>
#include <string.h>

/* Writes the digits in front of `end`; where they begin. */
static char *put_number(char *end, uint64_t value, unsigned base)
{
    do {
        *--end = "0123456789abcdef"[value % base];
        value /= base;
    } while (value > 0);
    return end;
}

/* By hand, because each answer to a long-poll has one, and printf would be a third of its cost. */
size_t cursor_format(char out[CURSOR_SIZE], uint64_t epoch, uint64_t seq)
{
    char text[CURSOR_SIZE];
    char *end = text + sizeof(text);
    char *at = put_number(end, seq, 10);
    *--at = '.';
    at = put_number(at, epoch, 16);
    size_t len = (size_t)(end - at);
    memcpy(out, at, len);
    out[len] = '\0';
    return len;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse_hex(const char *text, size_t len, uint64_t *value)
{
    if (len == 0 || len > 16)
        return -EINVAL;
    *value = 0;
    for (size_t i = 0; i < len; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0)
            return -EINVAL;
        *value = *value << 4 | (uint64_t)digit;
    }
    return 0;
}

static bool has_spare_zero(const char *text, size_t len)
{
    return len > 1 && text[0] == '0';
}

int cursor_parse(const char *text, size_t len, uint64_t *epoch, uint64_t *seq)
{
    const char *dot = memchr(text, '.', len);
    if (dot == NULL)
        return -EINVAL;
    size_t hex_len = (size_t)(dot - text);
    size_t seq_len = len - hex_len - 1;
    if (has_spare_zero(text, hex_len) || has_spare_zero(dot + 1, seq_len))
        return -EINVAL;
    if (parse_hex(text, hex_len, epoch) || text_parse_uint(dot + 1, seq_len, seq))
        return -EINVAL;
    return 0;
}
