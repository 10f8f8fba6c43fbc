/* Byte ranges: parsed without overflow, merged where they touch. */
#include "http/range.h"

#include "base/text.h"
#include "http/conditional.h"
#include "http/date.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What one range-spec turned out to be. */
enum spec { SPEC_BAD, SPEC_OUTSIDE, SPEC_GOOD };

static bool range_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Reads digits; a number that is too large becomes the largest. False: none, or something else. */
static bool parse_number(const char *text, size_t len, uint64_t *number)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)(text[i] - '0');
        if (digit > 9)
            return false;
        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    *number = value;
    return len > 0;
}

/* "-5": the last five bytes. */
static enum spec parse_suffix(const char *text, size_t len, uint64_t size, struct range *range)
{
    uint64_t wanted;
    if (!parse_number(text, len, &wanted))
        return SPEC_BAD;
    range->first = wanted < size ? size - wanted : 0;
    range->last = size - 1;
    return wanted > 0 ? SPEC_GOOD : SPEC_OUTSIDE;
}

/* "0-4", "5-" or "-5", of a file that is not empty. */
static enum spec parse_spec(const char *text, size_t len, uint64_t size, struct range *range)
{
    const char *dash = memchr(text, '-', len);
    if (!dash)
        return SPEC_BAD;
    size_t first_len = (size_t)(dash - text);
    const char *last = dash + 1;
    size_t last_len = len - first_len - 1;
    if (first_len == 0)
        return parse_suffix(last, last_len, size, range);

    range->last = UINT64_MAX;
    if (!parse_number(text, first_len, &range->first))
        return SPEC_BAD;
    if (last_len > 0 && !parse_number(last, last_len, &range->last))
        return SPEC_BAD;
    if (range->last < range->first)
        return SPEC_BAD;
    if (range->first >= size)
        return SPEC_OUTSIDE;
    if (range->last >= size)
        range->last = size - 1;
    return SPEC_GOOD;
}

static bool is_touching(const struct range *a, const struct range *b)
{
    return a->first <= b->last + 1 && b->first <= a->last + 1; /* below the size: no overflow */
}

/* Adds a range; those that it touches become one with it, in the place of the first of them. */
static void list_add(struct range_list *list, struct range range)
{
    int place = list->count;
    int kept = 0;
    for (int i = 0; i < list->count; i++) {
        const struct range *other = &list->ranges[i];
        if (!is_touching(other, &range)) {
            list->ranges[kept++] = *other;
            continue;
        }
        if (place == list->count)
            place = kept++;
        range.first = other->first < range.first ? other->first : range.first;
        range.last = other->last > range.last ? other->last : range.last;
    }
    if (place == list->count)
        place = kept++;
    list->ranges[place] = range;
    list->count = kept;
}

static bool is_bytes(const char *value, size_t len)
{
    return len > 6 && text_equal_nocase(value, 6, "bytes=", 6);
}

/* The end of the list item at `at`. */
static const char *item_end(const char *at, const char *end)
{
    const char *comma = memchr(at, ',', (size_t)(end - at));
    return comma ? comma : end;
}

/* Reads one item without the blanks around it. An empty one says nothing. */
static enum spec parse_item(const char *at, const char *end, uint64_t size, struct range *range)
{
    while (at < end && range_is_blank(*at))
        at++;
    while (end > at && range_is_blank(end[-1]))
        end--;
    return at == end ? SPEC_OUTSIDE : parse_spec(at, (size_t)(end - at), size, range);
}

enum range_outcome range_parse(const char *value, size_t len, uint64_t size,
                               struct range_list *list)
{
    list->count = 0;
    if (!is_bytes(value, len) || size == 0) /* some clients ask for ranges of everything */
        return RANGE_WHOLE;
    const char *end = value + len;
    int items = 0;
    for (const char *at = value + 6; at <= end;) {
        struct range range;
        const char *stop = item_end(at, end);
        enum spec spec = parse_item(at, stop, size, &range);
        if (spec == SPEC_BAD || ++items > RANGE_MAX)
            return RANGE_WHOLE;
        if (spec == SPEC_GOOD)
            list_add(list, range);
        at = stop + 1;
    }
    return list->count > 0 ? RANGE_PARTIAL : RANGE_UNSATISFIABLE;
}

bool range_is_allowed(const char *if_range, size_t len, const char *etag, time_t modified)
{
    bool is_weak = len >= 2 && memcmp(if_range, "W/", 2) == 0; /* and no Wednesday */
    if (is_weak || (len > 0 && if_range[0] == '"'))
        return etag && conditional_equal_strong(if_range, len, etag, strlen(etag));
    time_t date;
    return date_parse(if_range, len, &date) == 0 && date == modified;
}

size_t range_format(char *out, const struct range *range, uint64_t size)
{
    int len = range ? snprintf(out, RANGE_TEXT_SIZE, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                               range->first, range->last, size)
                    : snprintf(out, RANGE_TEXT_SIZE, "bytes */%" PRIu64, size);
    return (size_t)len;
}
