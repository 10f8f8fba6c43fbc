/* Percent-encoding, request paths and query strings. Results go into the caller's buffer, and every
 * function is linear in its input. */
#ifndef HTTP_URI_H
#define HTTP_URI_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Decodes %XX (and with `plus` "+" as a space) into `out`, which holds `len` bytes and may be
 * `text` itself. Returns the length, or -EINVAL at an escape that is not two hexadecimal digits. */
ssize_t uri_decode(char *out, const char *text, size_t len, bool plus);
/* Encodes everything but letters, digits and "-._~" into `out`, which holds 3 * len bytes. Returns
 * the length. */
size_t uri_encode(char *out, const char *text, size_t len);

/* Decodes the path of a request, once, into `out`, which is cleared first. An encoded slash becomes
 * a slash like any other. 0, or -EINVAL: no "/" at the start, a bad escape, or a NUL byte. ".."
 * stays as it is: file_open refuses it. */
int uri_decode_path(const char *raw, size_t len, struct bytes *out);

/* Walks over "a=b&c=d" (a query or a urlencoded form). As browsers do it: "+" is a space, an escape
 * that is none stays as it is, empty fields are skipped, a field without "=" has an empty value. */
struct uri_query {
    const char *at;
    const char *end;
    char *out;       /* where the next decoded bytes go */
    uint32_t fields; /* that may still come */
};

struct uri_field {
    const char *name; /* both decoded, in the caller's buffer */
    size_t name_len;
    const char *value;
    size_t value_len;
};

/* `buffer` holds `len` bytes, may be `text` itself and must live as long as the fields are used. */
void uri_query_init(struct uri_query *query, const char *text, size_t len, char *buffer,
                    uint32_t max_fields);
/* 1, 0 at the end, -E2BIG: too many. */
int uri_query_next(struct uri_query *query, struct uri_field *field);

#endif
