/* Small things about text. Nothing here depends on the locale. */
#include "base/text.h"

#include <errno.h>
#include <string.h>

static unsigned char lower(unsigned char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (unsigned char)(byte | 0x20) : byte;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

bool text_equal_nocase(const char *a, size_t a_len, const char *b, size_t b_len)
{
    if (a_len != b_len)
        return false;
    for (size_t i = 0; i < a_len; i++)
        if (lower((unsigned char)a[i]) != lower((unsigned char)b[i]))
            return false;
    return true;
}

static bool is_tchar(unsigned char byte)
{
    unsigned char letter = lower(byte);
    if ((letter >= 'a' && letter <= 'z') || (byte >= '0' && byte <= '9') || byte == '-')
        return true;
    return byte && strchr("!#$%&'*+.^_`|~", byte);
}

bool text_is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_tchar((unsigned char)text[i]))
            return false;
    return len > 0;
}

static bool text_is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

bool text_list_has(const char *list, size_t len, const char *token)
{
    size_t token_len = strlen(token);
    const char *end = list + len;
    while (list < end) {
        const char *comma = memchr(list, ',', (size_t)(end - list));
        const char *next = comma ? comma + 1 : end;
        const char *last = comma ? comma : end;
        while (list < last && text_is_blank(*list))
            list++;
        while (last > list && text_is_blank(last[-1]))
            last--;
        if (text_equal_nocase(list, (size_t)(last - list), token, token_len))
            return true;
        list = next;
    }
    return false;
}

int text_parse_uint(const char *text, size_t len, uint64_t *value)
{
    uint64_t sum = 0;
    if (len == 0)
        return -EINVAL;
    for (size_t i = 0; i < len; i++)
        if (!is_digit(text[i]))
            return -EINVAL; /* before -ERANGE: "99999999999999999999x" is not a number at all */
    for (size_t i = 0; i < len; i++) {
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (sum > (UINT64_MAX - digit) / 10)
            return -ERANGE;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return 0;
}

/* A decimal number at the start of a text: whole + part / scale. */
struct decimal {
    uint64_t whole;
    uint64_t part;
    uint64_t scale;
    const char *rest; /* what follows: the unit */
};

#define DECIMAL_MAX_SCALE \
    UINT64_C(1000000000) /* digits of the fraction past the ninth are ignored */

static int parse_decimal(const char *text, struct decimal *number)
{
    const char *at = text;
    *number = (struct decimal){.scale = 1};
    while (is_digit(*at))
        at++;
    int err = text_parse_uint(text, (size_t)(at - text), &number->whole);
    if (err)
        return err;
    if (*at == '.') {
        if (!is_digit(*++at))
            return -EINVAL;
        for (; is_digit(*at); at++) {
            if (number->scale == DECIMAL_MAX_SCALE)
                continue;
            number->part = number->part * 10 + (uint64_t)(*at - '0');
            number->scale *= 10;
        }
    }
    number->rest = at;
    return 0;
}

/* number * unit, rounded up: the smallest positive duration is 1 ms, never 0 (which often means
 * "off"). */
static int scale_decimal(const struct decimal *number, uint64_t unit, uint64_t *result)
{
    __uint128_t whole = (__uint128_t)number->whole * unit;
    __uint128_t part = ((__uint128_t)number->part * unit + number->scale - 1) / number->scale;
    if (whole + part > UINT64_MAX)
        return -ERANGE;
    *result = (uint64_t)(whole + part);
    return 0;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* Parses a decimal followed by one of `units`, whose last has the name NULL. */
static int parse_with_unit(const char *text, const struct unit *units, bool is_nocase,
                           uint64_t *result)
{
    struct decimal number;
    int err = parse_decimal(text, &number);
    if (err)
        return err;
    for (const struct unit *unit = units; unit->name; unit++) {
        bool is_it = is_nocase ? text_equal_nocase(number.rest, strlen(number.rest), unit->name,
                                                   strlen(unit->name))
                               : strcmp(number.rest, unit->name) == 0;
        if (is_it)
            return scale_decimal(&number, unit->factor, result);
    }
    return -EINVAL;
}

int text_parse_duration(const char *text, uint64_t *ms)
{
    static const struct unit units[] = {{"", 1000},     {"ms", 1},       {"s", 1000}, {"m", 60000},
                                        {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
    return parse_with_unit(text, units, false, ms); /* case matters: "5M" is not a duration */
}

int text_parse_size(const char *text, uint64_t *bytes)
{
    static const struct unit units[] = {{"", 1},
                                        {"B", 1},
                                        {"KB", UINT64_C(1) << 10},
                                        {"MB", UINT64_C(1) << 20},
                                        {"GB", UINT64_C(1) << 30},
                                        {"TB", UINT64_C(1) << 40},
                                        {NULL, 0}};
    return parse_with_unit(text, units, true, bytes);
}

#define NEAREST_MAX_LEN 64 /* words longer than this are no typing errors of ours */

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* How many letters must be changed, added, left out or swapped with their neighbour to make `a`
 * into `b`. */
static unsigned edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][NEAREST_MAX_LEN + 1]; /* the current row and the two before it */
    for (unsigned j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a_len; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *twice_above = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            unsigned change = lower((unsigned char)a[i - 1]) != lower((unsigned char)b[j - 1]);
            row[j] = least(above[j - 1] + change, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], twice_above[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

const char *text_nearest(const char *word, const char *const *words, size_t count)
{
    size_t len = strlen(word);
    if (len > NEAREST_MAX_LEN)
        return NULL;
    const char *nearest = NULL;
    unsigned limit = len < 3 ? 1 : len < 8 ? 2 : 3; /* further away it is a guess, not a help */
    for (size_t i = 0; i < count; i++) {
        size_t other_len = strlen(words[i]);
        if (other_len > NEAREST_MAX_LEN)
            continue;
        unsigned distance = edit_distance(word, len, words[i], other_len);
        if (distance > limit || distance >= other_len)
            continue;
        nearest = words[i];
        if (distance == 0)
            return nearest;
        limit = distance - 1; /* only a nearer one may replace it */
    }
    return nearest;
}
