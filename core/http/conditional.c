/* ETags and the conditions of a request. */
#include "http/conditional.h"

#include "http/date.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- etags ---- */

void conditional_make_etag(char out[ETAG_SIZE], uint64_t size, int64_t modified,
                           uint32_t modified_ns)
{
    snprintf(out, ETAG_SIZE, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx32 "\"", size, (uint64_t)modified,
             modified_ns);
}

static bool is_weak(const char *etag, size_t len)
{
    return len >= 2 && etag[0] == 'W' && etag[1] == '/';
}

bool conditional_equal_strong(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return a_len == b_len && !is_weak(a, a_len) && memcmp(a, b, a_len) == 0;
}

bool conditional_equal_weak(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t a_skip = is_weak(a, a_len) ? 2 : 0;
    size_t b_skip = is_weak(b, b_len) ? 2 : 0;
    return conditional_equal_strong(a + a_skip, a_len - a_skip, b + b_skip, b_len - b_skip);
}

/* ---- lists of etags ---- */

/* The length of the entity tag at `at`, or 0: there is none. */
static size_t etag_len(const char *at, const char *end)
{
    const char *quote = is_weak(at, (size_t)(end - at)) ? at + 2 : at;
    if (quote == end || *quote != '"')
        return 0;
    const char *close = memchr(quote + 1, '"', (size_t)(end - quote - 1));
    return close ? (size_t)(close + 1 - at) : 0;
}

static const char *skip_separators(const char *at, const char *end)
{
    while (at < end && (*at == ',' || *at == ' ' || *at == '\t'))
        at++;
    return at;
}

typedef bool (*etag_equal_fn)(const char *a, size_t a_len, const char *b, size_t b_len);

/* Whether the list is "*" or holds `etag`. What stands behind a malformed tag does not count. */
static bool list_has(const struct condition *list, const char *etag, etag_equal_fn is_equal)
{
    const char *end = list->text + list->len;
    const char *at = skip_separators(list->text, end);
    if (end - at == 1 && *at == '*')
        return true;
    while (etag && at < end) {
        size_t len = etag_len(at, end);
        if (len == 0)
            return false;
        if (is_equal(at, len, etag, strlen(etag)))
            return true;
        at = skip_separators(at + len, end);
    }
    return false;
}

/* ---- conditions ---- */

/* A date that cannot be read says nothing, and neither does one when we know no date. */
static bool is_changed_since(const struct condition *since, time_t modified, bool if_unknown)
{
    time_t date;
    if (modified == -1 || !since->text || date_parse(since->text, since->len, &date) != 0)
        return if_unknown;
    return modified > date;
}

static bool is_failed(const struct conditions *given, const char *etag, time_t modified)
{
    if (given->if_match.text)
        return !list_has(&given->if_match, etag, conditional_equal_strong);
    return is_changed_since(&given->if_unmodified_since, modified, false);
}

static bool is_known(const struct conditions *given, const char *etag, time_t modified)
{
    if (given->if_none_match.text)
        return list_has(&given->if_none_match, etag, conditional_equal_weak);
    return given->is_read && !is_changed_since(&given->if_modified_since, modified, true);
}

enum conditional_outcome conditional_check(const struct conditions *conditions, const char *etag,
                                           time_t modified)
{
    if (is_failed(conditions, etag, modified))
        return CONDITIONAL_FAILED;
    if (!is_known(conditions, etag, modified))
        return CONDITIONAL_PROCEED;
    return conditions->is_read ? CONDITIONAL_NOT_MODIFIED : CONDITIONAL_FAILED;
}
