/* Conditional requests (RFC 9110 section 13): ETags, and whether a request still has to be
 * answered. */
#ifndef HTTP_CONDITIONAL_H
#define HTTP_CONDITIONAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* A header's value; `text` is NULL when the request has none. Several lines are joined with ",
 * ". */
struct condition {
    const char *text;
    size_t len;
};

struct conditions {
    struct condition if_match;
    struct condition if_none_match;
    struct condition if_modified_since;
    struct condition if_unmodified_since;
    bool is_read; /* the method is GET or HEAD */
};

enum conditional_outcome {
    CONDITIONAL_PROCEED,
    CONDITIONAL_NOT_MODIFIED, /* 304 */
    CONDITIONAL_FAILED        /* 412 */
};

/* Evaluates them in the order of section 13.2.2 for something that exists. `etag` ("\"...\"") may
 * be NULL, `modified` -1: not known. If-Range comes after this: see range.h. */
enum conditional_outcome conditional_check(const struct conditions *conditions, const char *etag,
                                           time_t modified);

#define ETAG_SIZE 48
/* The strong ETag of a file that is replaced, or at least touched, when it changes. */
void conditional_make_etag(char out[ETAG_SIZE], uint64_t size, int64_t modified,
                           uint32_t modified_ns);
bool conditional_equal_strong(const char *a, size_t a_len, const char *b, size_t b_len);
bool conditional_equal_weak(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
