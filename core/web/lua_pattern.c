/* The syntax of Lua patterns, by the same steps as the matcher of Lua 5.4. */
#include "web/lua_pattern.h"

#include "web/lua_matcher.h"

#include <stdbool.h>
#include <string.h>

#define MAX_CAPTURES 32 /* LUA_MAXCAPTURES */

struct scan {
    const char *at;
    const char *end;
    int captures;
    bool is_open[MAX_CAPTURES];
};

/* Each scan_ moves past one item and returns NULL, or what is wrong with it. */

static const char *scan_set(struct scan *scan)
{
    scan->at++; /* the bracket */
    if (scan->at < scan->end && *scan->at == '^')
        scan->at++;
    do { /* a "]" in the first place is a member */
        if (scan->at >= scan->end)
            return "malformed pattern (missing ']')";
        if (*scan->at++ == '%')
            scan->at++;
    } while (scan->at >= scan->end || *scan->at != ']');
    scan->at++;
    return NULL;
}

static const char *scan_open(struct scan *scan)
{
    if (scan->captures == MAX_CAPTURES)
        return "malformed pattern (too many captures)";
    scan->at++;
    bool is_position = scan->at < scan->end && *scan->at == ')';
    scan->at += is_position;
    scan->is_open[scan->captures++] = !is_position;
    return NULL;
}

/* The index of the innermost open capture, or -1. */
static int innermost(const struct scan *scan)
{
    int i = scan->captures - 1;
    while (i >= 0 && !scan->is_open[i])
        i--;
    return i;
}

static const char *scan_close(struct scan *scan)
{
    int capture = innermost(scan);
    if (capture < 0)
        return "malformed pattern (a ')' without its '(')";
    scan->is_open[capture] = false;
    scan->at++;
    return NULL;
}

static const char *scan_escape(struct scan *scan)
{
    scan->at++; /* the percent sign */
    if (scan->at == scan->end)
        return "malformed pattern (ends with '%')";
    char c = *scan->at++;
    if (c == 'b' && scan->end - scan->at < 2)
        return "malformed pattern (missing arguments to '%b')";
    if (c == 'b')
        scan->at += 2;
    if (c == 'f' && (scan->at == scan->end || *scan->at != '['))
        return "malformed pattern (missing '[' after '%f')";
    int capture = c - '1';
    if (c >= '0' && c <= '9' &&
        (capture < 0 || capture >= scan->captures || scan->is_open[capture]))
        return "malformed pattern (a back reference to no capture)";
    return NULL;
}

static const char *scan_item(struct scan *scan)
{
    switch (*scan->at) {
    case '(': return scan_open(scan);
    case ')': return scan_close(scan);
    case '%': return scan_escape(scan);
    case '[': return scan_set(scan);
    default: scan->at++; return NULL;
    }
}

const char *lua_pattern_check(const char *pattern, size_t len)
{
    struct scan scan = {.at = pattern, .end = pattern + len};
    const char *wrong = NULL;
    bool ends_in_dollar = false;
    if (len > 0 && pattern[0] == '^')
        return "a pattern always matches the whole segment: leave out the \"^\"";
    while (scan.at < scan.end && !wrong) {
        ends_in_dollar = *scan.at == '$';
        wrong = scan_item(&scan);
    }
    if (wrong)
        return wrong;
    if (ends_in_dollar)
        return "a pattern always matches the whole segment: leave out the \"$\"";
    if (innermost(&scan) >= 0)
        return "malformed pattern (unfinished capture)";
    return lua_matcher_check(pattern, len);
}
