/* All ways at once: a set of places in the pattern where the text so far may have led. Captures
 * make no difference to whether it matches. */
#include "web/lua_matcher.h"

#include "base/mem.h"

#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ITEMS_MAX 1024

enum repeat { ONCE, MAYBE, OFTEN, FRONTIER }; /* OFTEN: any number of times, also none */

struct item {
    uint64_t set[4]; /* a bit for each byte that it takes */
    enum repeat repeat;
};

struct lua_matcher {
    int count;
    bool is_regular; /* no %b and no back reference */
    int repeats;     /* items with * + - */
    struct item items[ITEMS_MAX];
};

struct source {
    const char *at;
    const char *end;
};

/* ---- sets of bytes ---- */

static void set_add(uint64_t set[4], int c)
{
    set[c / 64] |= UINT64_C(1) << (c % 64);
}

static bool set_has(const uint64_t set[4], unsigned char c)
{
    return set[c / 64] >> (c % 64) & 1;
}

static bool is_in_class(int c, int class)
{
    switch (tolower(class)) {
    case 'a': return isalpha(c);
    case 'c': return iscntrl(c);
    case 'd': return isdigit(c);
    case 'g': return isgraph(c);
    case 'l': return islower(c);
    case 'p': return ispunct(c);
    case 's': return isspace(c);
    case 'u': return isupper(c);
    case 'w': return isalnum(c);
    case 'x': return isxdigit(c);
    default: return c == class;
    }
}

/* %a, %A, %. and their like. */
static void set_add_class(uint64_t set[4], unsigned char class)
{
    bool is_inverse = isupper(class) && strchr("acdglpsuwx", tolower(class));
    for (int c = 0; c < 256; c++)
        if (is_in_class(c, class) != is_inverse)
            set_add(set, c);
}

static void set_add_range(uint64_t set[4], unsigned char first, unsigned char last)
{
    for (int c = first; c <= last; c++)
        set_add(set, c);
}

/* At the bracket; moves behind the set. As Lua, a "]" in the first place is a member. */
static void read_set(struct source *source, uint64_t set[4])
{
    const char *at = source->at + 1;
    bool is_inverse = *at == '^';
    at += is_inverse;
    const char *first = at;
    for (; at == first || *at != ']'; at++) {
        if (*at == '%')
            set_add_class(set, (unsigned char)*++at);
        else if (at[1] == '-' && at[2] != ']') {
            set_add_range(set, (unsigned char)at[0], (unsigned char)at[2]);
            at += 2;
        } else
            set_add(set, (unsigned char)*at);
    }
    for (int i = 0; is_inverse && i < 4; i++)
        set[i] = ~set[i];
    source->at = at + 1;
}

/* ---- reading a pattern ---- */

static struct item *lua_matcher_add(struct lua_matcher *matcher, enum repeat repeat)
{
    struct item *item = &matcher->items[matcher->count++];
    *item = (struct item){.repeat = repeat};
    return item;
}

static void read_byte(struct source *source, uint64_t set[4])
{
    char c = *source->at;
    if (c == '[') {
        read_set(source, set);
        return;
    }
    if (c == '.')
        memset(set, 0xff, 4 * sizeof(*set));
    else if (c == '%')
        set_add_class(set, (unsigned char)*++source->at);
    else
        set_add(set, (unsigned char)c);
    source->at++;
}

static void read_repeat(struct lua_matcher *matcher, struct source *source, struct item *item)
{
    char c = source->at < source->end ? *source->at : '\0';
    if (c == '?') {
        item->repeat = MAYBE;
    } else if (c == '*' || c == '-') {
        item->repeat = OFTEN;
    } else if (c == '+') { /* once, then any number of times */
        memcpy(lua_matcher_add(matcher, OFTEN)->set, item->set, sizeof(item->set));
    } else {
        return;
    }
    source->at++;
    matcher->repeats += c != '?';
}

static void read_item(struct lua_matcher *matcher, struct source *source)
{
    char next = source->end - source->at > 1 ? source->at[1] : '\0';
    if (*source->at == '(' || *source->at == ')') {
        source->at++;
    } else if (*source->at == '%' && next == 'f') {
        source->at += 2;
        read_set(source, lua_matcher_add(matcher, FRONTIER)->set);
    } else if (*source->at == '%' && (next == 'b' || isdigit((unsigned char)next))) {
        source->at += next == 'b' ? 4 : 2;
        matcher->is_regular = false;
    } else {
        struct item *item = lua_matcher_add(matcher, ONCE);
        read_byte(source, item->set);
        read_repeat(matcher, source, item);
    }
}

/* False: it has too many items. */
static bool read_pattern(struct lua_matcher *matcher, const char *pattern, size_t len)
{
    struct source source = {pattern, pattern + len};
    matcher->is_regular = true;
    while (source.at < source.end) {
        if (matcher->count + 2 > ITEMS_MAX)
            return false;
        read_item(matcher, &source);
    }
    return true;
}

static struct lua_matcher *read_new(const char *pattern, size_t len, bool *is_read)
{
    struct lua_matcher *matcher = mem_calloc(sizeof(*matcher));
    *is_read = read_pattern(matcher, pattern, len);
    return matcher;
}

const char *lua_matcher_check(const char *pattern, size_t len)
{
    bool is_read;
    struct lua_matcher *matcher = read_new(pattern, len, &is_read);
    bool is_bounded = matcher->is_regular || matcher->repeats <= 1;
    lua_matcher_free(matcher);
    if (!is_read)
        return "the pattern is too long";
    return is_bounded ? NULL
                      : "the pattern could take too long: with a %b or a back reference there may "
                        "be one of * + - only";
}

struct lua_matcher *lua_matcher_new(const char *pattern, size_t len)
{
    bool is_read;
    struct lua_matcher *matcher = read_new(pattern, len, &is_read);
    if (is_read && matcher->is_regular)
        return mem_realloc(matcher, offsetof(struct lua_matcher, items) +
                                        (size_t)matcher->count * sizeof(struct item));
    lua_matcher_free(matcher);
    return NULL;
}

void lua_matcher_free(struct lua_matcher *matcher)
{
    mem_free(matcher);
}

/* ---- matching ---- */

/* Adds the places behind items that may take nothing, between the bytes `before` and `after`. */
static void skip(const struct lua_matcher *matcher, bool *places, unsigned char before,
                 unsigned char after)
{
    for (int i = 0; i < matcher->count; i++) {
        const struct item *item = &matcher->items[i];
        bool is_edge =
            item->repeat == FRONTIER && !set_has(item->set, before) && set_has(item->set, after);
        if (places[i] && (item->repeat == MAYBE || item->repeat == OFTEN || is_edge))
            places[i + 1] = true;
    }
}

/* Where `c` leads from `places`. */
static void lua_matcher_take(const struct lua_matcher *matcher, const bool *places, bool *next,
                             unsigned char c)
{
    memset(next, 0, (size_t)matcher->count + 1);
    for (int i = 0; i < matcher->count; i++) {
        const struct item *item = &matcher->items[i];
        if (places[i] && item->repeat != FRONTIER && set_has(item->set, c))
            next[item->repeat == OFTEN ? i : i + 1] = true;
    }
}

bool lua_matcher_matches(const struct lua_matcher *matcher, const char *text, size_t len)
{
    bool sets[2][ITEMS_MAX + 1];
    bool *places = sets[0];
    bool *next = sets[1];
    memset(places, 0, (size_t)matcher->count + 1);
    places[0] = true;
    for (size_t i = 0;; i++) {
        unsigned char before = i > 0 ? (unsigned char)text[i - 1] : 0;
        skip(matcher, places, before, i < len ? (unsigned char)text[i] : 0);
        if (i == len)
            return places[matcher->count];
        lua_matcher_take(matcher, places, next, (unsigned char)text[i]);
        bool *other = places;
        places = next;
        next = other;
    }
}
