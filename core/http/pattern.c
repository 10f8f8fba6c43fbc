/* Route patterns: "/literal/:param/:n{int}/:slug{lua pattern}/" and "*rest" at the end. */
#include "http/pattern.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name(const char *text, size_t len)
{
    if (len == 0 || !is_word(text[0]))
        return false;
    for (size_t i = 1; i < len; i++)
        if (!is_word(text[i]) && (text[i] < '0' || text[i] > '9'))
            return false;
    return true;
}

/* A word alone, such as {uuid}, is a type that we do not have: as a Lua pattern it would match only
 * itself. */
static bool is_unknown_type(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_word(text[i]))
            return false;
    return true;
}

/* Where the segment that starts at `text` ends. Within braces a slash is part of the constraint. */
static const char *segment_end(const char *text)
{
    const char *brace = text[0] == ':' ? text + strcspn(text, "{/") : text;
    if (*brace != '{')
        return text + strcspn(text, "/");
    for (const char *close = strchr(brace, '}'); close; close = strchr(close + 1, '}'))
        if (close[1] == '/' || close[1] == '\0')
            return close + 1;
    return text + strcspn(text, "/");
}

/* Each parse_ fills one segment from text[0..len) and returns NULL, or what is wrong with it. */

static const char *parse_constraint(struct segment *segment, const char *text, size_t len)
{
    if (len < 2 || text[len - 1] != '}')
        return "must end with a \"}\" before the next \"/\"";
    segment->text = text + 1;
    segment->text_len = len - 2;
    if (segment->text_len == 3 && memcmp(segment->text, "int", 3) == 0) {
        segment->kind = SEGMENT_INT;
        return NULL;
    }
    if (is_unknown_type(segment->text, segment->text_len))
        return "has an unknown constraint: use {int}, or a Lua pattern such as {[%w-]+}";
    segment->kind = SEGMENT_LUA;
    return NULL;
}

static const char *parse_param(struct segment *segment, const char *text, size_t len)
{
    const char *brace = memchr(text, '{', len);
    segment->kind = SEGMENT_PARAM;
    segment->name = text + 1;
    segment->name_len = (brace ? (size_t)(brace - text) : len) - 1;
    if (!is_name(segment->name, segment->name_len))
        return "needs a name of letters, digits and \"_\" after the \":\"";
    return brace ? parse_constraint(segment, brace, len - (size_t)(brace - text)) : NULL;
}

static const char *parse_splat(struct segment *segment, const char *text, size_t len)
{
    segment->kind = SEGMENT_SPLAT;
    segment->name = text + 1;
    segment->name_len = len - 1;
    if (!is_name(segment->name, segment->name_len))
        return "needs a name of letters, digits and \"_\" after the \"*\"";
    return text[len] == '\0' ? NULL : "must be the last segment";
}

static const char *parse_literal(struct segment *segment, const char *text, size_t len)
{
    segment->kind = SEGMENT_LITERAL;
    segment->text = text;
    segment->text_len = len;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == ':' || text[i] == '*')
            return "mixes text and a parameter: a parameter is a whole segment";
        if (text[i] == '{' || text[i] == '}')
            return "has a constraint without a parameter: write :name{...}";
    }
    return NULL;
}

static const char *parse_segment(struct segment *segment, const char *text, size_t len)
{
    *segment = (struct segment){0};
    if (len > 0 && text[0] == ':')
        return parse_param(segment, text, len);
    if (len > 0 && text[0] == '*')
        return parse_splat(segment, text, len);
    return parse_literal(segment, text, len);
}

static bool has_name(const struct pattern *pattern, const struct segment *wanted)
{
    for (int i = 0; i < pattern->count; i++) {
        const struct segment *segment = &pattern->segments[i];
        if (segment->name && segment->name_len == wanted->name_len &&
            memcmp(segment->name, wanted->name, wanted->name_len) == 0)
            return true;
    }
    return false;
}

static const char *pattern_add(struct pattern *pattern, const char *text, size_t len,
                               int max_params)
{
    if (pattern->count == PATTERN_MAX_SEGMENTS)
        return "is one segment too many";
    struct segment *segment = &pattern->segments[pattern->count];
    const char *wrong = parse_segment(segment, text, len);
    if (wrong)
        return wrong;
    if (segment->name && has_name(pattern, segment))
        return "has the name of an earlier parameter";
    if (segment->name && pattern->params == max_params)
        return "is one parameter too many";
    pattern->params += segment->name != NULL;
    pattern->count++;
    return NULL;
}

int pattern_parse(struct pattern *pattern, const char *text, int max_params, char *error,
                  size_t error_size)
{
    pattern->count = 0;
    pattern->params = 0;
    if (text[0] != '/') {
        snprintf(error, error_size, "a pattern starts with \"/\"");
        return -1;
    }
    const char *at = text;
    do {
        at++; /* the slash */
        const char *end = segment_end(at);
        const char *wrong = pattern_add(pattern, at, (size_t)(end - at), max_params);
        if (wrong) {
            snprintf(error, error_size, "%.*s %s", (int)(end - at), at, wrong);
            return -1;
        }
        at = end;
    } while (*at == '/');
    return 0;
}
