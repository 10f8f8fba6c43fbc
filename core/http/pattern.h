/* A route pattern taken apart: "/users/:id{int}", with "*rest" at the end if need be, as a list of
 * segments. */
#ifndef HTTP_PATTERN_H
#define HTTP_PATTERN_H

#include <stddef.h>

#define PATTERN_MAX_SEGMENTS 64

/* In the order in which the router tries them. */
enum segment_kind { SEGMENT_LITERAL, SEGMENT_INT, SEGMENT_LUA, SEGMENT_PARAM, SEGMENT_SPLAT };

struct segment {
    enum segment_kind kind;
    const char *name; /* of the parameter, not of a literal; points into the pattern */
    size_t name_len;
    const char *text; /* the literal, or the Lua pattern; points into the pattern */
    size_t text_len;
};

struct pattern {
    int count;
    int params; /* segments with a name */
    struct segment segments[PATTERN_MAX_SEGMENTS];
};

/* 0, or -1 with the rest of a sentence in `error` ("*rest must be the last segment"). `max_params`
 * >= params. */
int pattern_parse(struct pattern *pattern, const char *text, int max_params, char *error,
                  size_t error_size);

#endif
