/* Byte ranges of a file (RFC 9110 section 14): which parts a client asked for. */
#ifndef HTTP_RANGE_H
#define HTTP_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define RANGE_MAX 8 /* a header with more is ignored */

struct range {
    uint64_t first;
    uint64_t last; /* inclusive, less than the size of the file */
};

struct range_list {
    int count;
    struct range ranges[RANGE_MAX]; /* apart from each other, in the order of the request */
};

enum range_outcome {
    RANGE_WHOLE,        /* 200: no range, not bytes, not understood, or too many */
    RANGE_PARTIAL,      /* 206: the list has at least one */
    RANGE_UNSATISFIABLE /* 416 */
};

/* Reads the value of Range for a file of `size` bytes; ranges that touch become one. */
enum range_outcome range_parse(const char *value, size_t len, uint64_t size,
                               struct range_list *list);
/* Whether If-Range allows a part: its ETag is strongly the file's (`etag` may be NULL), or its date
 * is exactly that of the last change. */
bool range_is_allowed(const char *if_range, size_t len, const char *etag, time_t modified);

#define RANGE_TEXT_SIZE 72
/* Content-Range: "bytes 0-4/10", or for a 416 (`range` NULL) a star instead of "0-4". The
 * length. */
size_t range_format(char *out, const struct range *range, uint64_t size);

#endif
