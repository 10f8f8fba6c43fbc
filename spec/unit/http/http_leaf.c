/* Tests of core/http's ranges, conditions and media types: each check prints `ok sentence` or `not
 * ok sentence`; http_leaf_spec.lua reads them. */
#include "http/conditional.h"
#include "http/range.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int failures;

static void check(bool is_ok, const char *sentence)
{
    printf("%s %s\n", is_ok ? "ok" : "not ok", sentence);
    failures += !is_ok;
}

/* ---- ranges ---- */

/* What a Range header comes to, as text: "200", "416" or "0-4,7-9". */
static const char *range_text(const char *value, uint64_t size)
{
    static char text[512];
    struct range_list list;
    char *to = text;
    switch (range_parse(value, strlen(value), size, &list)) {
    case RANGE_WHOLE: return "200";
    case RANGE_UNSATISFIABLE: return "416";
    default: break;
    }
    for (int i = 0; i < list.count; i++)
        to += sprintf(to, "%s%llu-%llu", i ? "," : "", (unsigned long long)list.ranges[i].first,
                      (unsigned long long)list.ranges[i].last);
    return text;
}

static bool gives(const char *value, uint64_t size, const char *expected)
{
    const char *text = range_text(value, size);
    if (strcmp(text, expected) != 0)
        printf("# %s of %llu: %s, not %s\n", value, (unsigned long long)size, text, expected);
    return strcmp(text, expected) == 0;
}

static void test_single_ranges(void)
{
    check(gives("bytes=0-4", 10, "0-4") && gives("bytes=5-", 10, "5-9") &&
              gives("bytes=9-9", 10, "9-9") && gives("BYTES=0-0", 10, "0-0") &&
              gives("bytes=007-08", 10, "7-8"),
          "range: from a byte to another, or to the end");
    check(gives("bytes=-3", 10, "7-9") && gives("bytes=-10", 10, "0-9") &&
              gives("bytes=-11", 10, "0-9"),
          "range: the last bytes");
    check(gives("bytes=0-10", 10, "0-9") && gives("bytes=3-99999", 10, "3-9"),
          "range: ends with the file");
    check(gives("bytes=10-", 10, "416") && gives("bytes=10-20", 10, "416") &&
              gives("bytes=-0", 10, "416") && gives("bytes=10-,-0", 10, "416"),
          "range: 416 when nothing of it is in the file");
    check(gives("bytes=0-", 0, "200") && gives("bytes=-1", 0, "200"),
          "range: an empty file is sent whole");
}

static void test_odd_ranges(void)
{
    static const char *const odd[] = {
        "",           "bytes",        "bytes=",      "bytes=-",     "bytes=--1",   "bytes=5-4",
        "bytes=a-b",  "bytes=0x1-2",  "bytes=+1-2",  "bytes= 1 -2", "bytes=1-2-3", "bytes=1-2;3-4",
        "items=0-4",  "bytes 0-4",    "bytes=0-4,x", "bytes=4",     "bytes=1.0-2", "bytes=1-2\xff",
        "bytes=-1-2", "bytes=0-1,5-4"};
    bool is_ok = true;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        is_ok = gives(odd[i], 10, "200") && is_ok;
    check(is_ok, "range: what is not understood is ignored");
    check(gives("bytes=18446744073709551615-", 10, "416") &&
              gives("bytes=18446744073709551616-", 10, "416") &&
              gives("bytes=99999999999999999999999999-99999999999999999999999999", 10, "416") &&
              gives("bytes=1-18446744073709551616", 10, "1-9") &&
              gives("bytes=-99999999999999999999999999", 10, "0-9") &&
              gives("bytes=18446744073709551613-", UINT64_MAX,
                    "18446744073709551613-18446744073709551614") &&
              gives("bytes=18446744073709551616-0", 10, "200"),
          "range: numbers too large for 64 bits do not wrap around");
}

static void test_several_ranges(void)
{
    check(gives("bytes=0-1,4-5,8-9", 10, "0-1,4-5,8-9") && gives("bytes=8-9, 0-1", 10, "8-9,0-1"),
          "range: several, in the order of the request");
    check(gives("bytes= 0-1 ,\t4-5 ,", 10, "0-1,4-5") && gives("bytes=,0-1,,4-5", 10, "0-1,4-5"),
          "range: blanks and empty items between them");
    check(gives("bytes=0-4,2-6", 10, "0-6") && gives("bytes=0-1,2-3", 10, "0-3") &&
              gives("bytes=2-3,0-1", 10, "0-3") && gives("bytes=0-9,3-4", 10, "0-9") &&
              gives("bytes=0-0,4-4,8-8,1-7", 10, "0-8") &&
              gives("bytes=6-7,0-0,8-9", 10, "6-9,0-0"),
          "range: those that touch become one");
    check(gives("bytes=0-1,20-30", 10, "0-1") && gives("bytes=20-30,-0,-1", 10, "9-9"),
          "range: those outside the file are left out");
    check(gives("bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14", 99,
                "0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14") &&
              gives("bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16", 99, "200") &&
              gives("bytes=0-,0-,0-,0-,0-,0-,0-,0-,0-", 99, "200"),
          "range: more than eight are ignored");
}

static bool is_allowed(const char *if_range, const char *etag, time_t modified)
{
    return range_is_allowed(if_range, strlen(if_range), etag, modified);
}

static void test_if_range(void)
{
    check(is_allowed("\"a\"", "\"a\"", 0) && !is_allowed("\"a\"", "\"b\"", 0) &&
              !is_allowed("\"a\"", NULL, 0) && !is_allowed("W/\"a\"", "\"a\"", 0) &&
              !is_allowed("W/\"a\"", "W/\"a\"", 0) && !is_allowed("\"a\", \"b\"", "\"a\"", 0),
          "if-range: an etag allows a part when it is strongly the same");
    check(is_allowed("Sun, 06 Nov 1994 08:49:37 GMT", "\"a\"", 784111777) &&
              !is_allowed("Sun, 06 Nov 1994 08:49:37 GMT", "\"a\"", 784111776) &&
              !is_allowed("Sun, 06 Nov 1994 08:49:37 GMT", "\"a\"", 784111778) &&
              is_allowed("Wed, 16 Nov 1994 08:49:37 GMT", "\"a\"", 784975777) &&
              !is_allowed("", "\"a\"", -1) && !is_allowed("yesterday", "\"a\"", -1),
          "if-range: a date allows a part when it is exactly the file's");
}

static void test_range_format(void)
{
    char text[RANGE_TEXT_SIZE];
    struct range range = {0, 4};
    struct range large = {UINT64_MAX - 2, UINT64_MAX - 1};
    bool is_ok = range_format(text, &range, 10) == 12 && strcmp(text, "bytes 0-4/10") == 0;
    is_ok = is_ok && range_format(text, NULL, 10) == 10 && strcmp(text, "bytes */10") == 0;
    is_ok = is_ok && range_format(text, &large, UINT64_MAX) == 68 && text[67] == '5';
    check(is_ok, "range: writes Content-Range, for 416 as well");
}

/* ---- conditions ---- */

#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define EXACTLY "Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"
#define MODIFIED 784111777

static struct condition given(const char *text)
{
    return (struct condition){text, text ? strlen(text) : 0};
}

/* The answer to a request for something with etag "a", last changed at MODIFIED. */
static int answer(bool is_read, const char *match, const char *none_match, const char *since,
                  const char *unmodified)
{
    struct conditions conditions = {given(match), given(none_match), given(since),
                                    given(unmodified), is_read};
    switch (conditional_check(&conditions, "\"a\"", MODIFIED)) {
    case CONDITIONAL_NOT_MODIFIED: return 304;
    case CONDITIONAL_FAILED: return 412;
    default: return 200;
    }
}

static int get(const char *match, const char *none_match, const char *since, const char *unmodified)
{
    return answer(true, match, none_match, since, unmodified);
}

static int put(const char *match, const char *none_match, const char *since, const char *unmodified)
{
    return answer(false, match, none_match, since, unmodified);
}

static void test_conditions(void)
{
    check(get(NULL, NULL, NULL, NULL) == 200 && put(NULL, NULL, NULL, NULL) == 200,
          "conditional: none at all");
    check(get("\"a\"", NULL, NULL, NULL) == 200 && get("\"x\", \"a\"", NULL, NULL, NULL) == 200 &&
              get("*", NULL, NULL, NULL) == 200 && get("\"b\"", NULL, NULL, NULL) == 412 &&
              get("W/\"a\"", NULL, NULL, NULL) == 412 && get("", NULL, NULL, NULL) == 412 &&
              put("\"b\"", NULL, NULL, NULL) == 412,
          "conditional: If-Match wants one that is strongly the same");
    check(get(NULL, "\"a\"", NULL, NULL) == 304 && get(NULL, "W/\"a\"", NULL, NULL) == 304 &&
              get(NULL, "\"x\" ,\"a\"", NULL, NULL) == 304 && get(NULL, "*", NULL, NULL) == 304 &&
              get(NULL, "\"b\"", NULL, NULL) == 200 && get(NULL, "", NULL, NULL) == 200 &&
              put(NULL, "\"a\"", NULL, NULL) == 412 && put(NULL, "*", NULL, NULL) == 412 &&
              put(NULL, "\"b\"", NULL, NULL) == 200,
          "conditional: If-None-Match wants none that is weakly the same");
    check(get(NULL, NULL, BEFORE, NULL) == 200 && get(NULL, NULL, EXACTLY, NULL) == 304 &&
              get(NULL, NULL, AFTER, NULL) == 304 && put(NULL, NULL, AFTER, NULL) == 200 &&
              get(NULL, NULL, "soon", NULL) == 200,
          "conditional: If-Modified-Since, for reading only");
    check(get(NULL, NULL, NULL, BEFORE) == 412 && get(NULL, NULL, NULL, EXACTLY) == 200 &&
              put(NULL, NULL, NULL, BEFORE) == 412 && put(NULL, NULL, NULL, "soon") == 200,
          "conditional: If-Unmodified-Since");
    check(get("\"a\"", NULL, NULL, BEFORE) == 200 && get(NULL, "\"b\"", AFTER, NULL) == 200 &&
              get("\"a\"", "\"a\"", NULL, NULL) == 304 &&
              put("\"a\"", "\"a\"", NULL, NULL) == 412 &&
              get("\"b\"", "\"a\"", AFTER, NULL) == 412 &&
              get("\"a\"", "\"b\"", AFTER, BEFORE) == 200,
          "conditional: etags come before dates, preconditions before caches");
    check(get(NULL, "\"a", NULL, NULL) == 200 && get(NULL, "a", NULL, NULL) == 200 &&
              get(NULL, "x, \"a\"", NULL, NULL) == 200 && get(NULL, "W/", NULL, NULL) == 200 &&
              get(NULL, "W", NULL, NULL) == 200 && get(NULL, "\"x,y\",\"a\"", NULL, NULL) == 304 &&
              get(NULL, ",, \"a\" ,", NULL, NULL) == 304,
          "conditional: lists with mistakes match up to the mistake");

    struct conditions unknown = {.if_modified_since = given(AFTER),
                                 .if_unmodified_since = given(BEFORE),
                                 .if_none_match = given(NULL),
                                 .is_read = true};
    check(conditional_check(&unknown, NULL, -1) == CONDITIONAL_PROCEED,
          "conditional: what has no date proceeds");
    unknown.if_match = given("\"a\"");
    check(conditional_check(&unknown, NULL, -1) == CONDITIONAL_FAILED,
          "conditional: what has no etag matches none");
}

static void test_etags(void)
{
    char etag[ETAG_SIZE];
    char other[ETAG_SIZE];
    conditional_make_etag(etag, 4096, 784111777, 123);
    check(strcmp(etag, "\"1000-2ebc98a1-7b\"") == 0, "etag: is made of size and time");
    conditional_make_etag(other, 4096, 784111777, 124);
    check(strcmp(etag, other) != 0, "etag: changes with every nanosecond");
    conditional_make_etag(other, 4097, 784111777, 123);
    check(strcmp(etag, other) != 0, "etag: changes with the size");
    conditional_make_etag(other, UINT64_MAX, INT64_MIN, UINT32_MAX);
    size_t len = strlen(other);
    check(len < ETAG_SIZE - 1 && other[0] == '"' && other[len - 1] == '"' &&
              !memchr(other + 1, '"', len - 2),
          "etag: the longest one fits");
    check(conditional_equal_weak("W/\"a\"", 5, "\"a\"", 3) &&
              !conditional_equal_strong("W/\"a\"", 5, "W/\"a\"", 5) &&
              conditional_equal_strong("\"a\"", 3, "\"a\"", 3) && !conditional_equal_weak("\"a\"", 3, "\"b\"", 3),
          "etag: weak and strong comparison as in RFC 9110");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    test_single_ranges();
    test_odd_ranges();
    test_several_ranges();
    test_if_range();
    test_range_format();
    test_conditions();
    test_etags();
    return failures > 0;
}
