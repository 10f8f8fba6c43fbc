/* Base64: three bytes are four characters of six bits. */
#include "base/base64.h"

#include <errno.h>
#include <stdint.h>

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Writes `count` characters of the 24 bits in `group`, the first from its top. */
static char *put_group(char *to, const char *alphabet, uint32_t group, int count)
{
    for (int i = 0; i < count; i++)
        *to++ = alphabet[group >> (18 - 6 * i) & 63];
    return to;
}

size_t base64_encode(char *out, const void *data, size_t len, bool is_url)
{
    const unsigned char *from = data;
    const char *alphabet = is_url ? url_safe : standard;
    char *to = out;
    for (; len >= 3; from += 3, len -= 3)
        to = put_group(to, alphabet, (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2], 4);
    if (len == 0)
        return (size_t)(to - out);

    uint32_t last = (uint32_t)from[0] << 16 | (len == 2 ? (uint32_t)from[1] << 8 : 0);
    to = put_group(to, alphabet, last, (int)len + 1);
    for (size_t i = len; i < 3 && !is_url; i++)
        *to++ = '=';
    return (size_t)(to - out);
}

static int value_of(char letter, bool is_url)
{
    if (letter >= 'A' && letter <= 'Z')
        return letter - 'A';
    if (letter >= 'a' && letter <= 'z')
        return letter - 'a' + 26;
    if (letter >= '0' && letter <= '9')
        return letter - '0' + 52;
    if (letter == (is_url ? '-' : '+'))
        return 62;
    return letter == (is_url ? '_' : '/') ? 63 : -1;
}

/* The length without padding, or -1: padding where none may be, or none where it must be. */
static ssize_t unpadded_len(const char *text, size_t len, bool is_url)
{
    size_t bare = len;
    while (bare > 0 && len - bare < 2 && text[bare - 1] == '=')
        bare--;
    bool is_padded = bare < len;
    if ((is_padded || !is_url) && len % 4 != 0)
        return -1;
    return (ssize_t)bare;
}

ssize_t base64_decode(char *out, const char *text, size_t len, bool is_url)
{
    ssize_t bare = unpadded_len(text, len, is_url);
    if (bare < 0 || bare % 4 == 1)
        return -EINVAL;
    uint32_t bits = 0;
    int count = 0; /* of the bits that wait in the low end of `bits` */
    char *to = out;
    for (ssize_t i = 0; i < bare; i++) {
        int value = value_of(text[i], is_url);
        if (value < 0)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            *to++ = (char)(bits >> count & 255);
        }
    }
    if (bits & ((UINT32_C(1) << count) - 1))
        return -EINVAL;
    return to - out;
}
