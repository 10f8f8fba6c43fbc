/* Base64 (RFC 4648), both alphabets: "+/" with padding, and with `is_url` "-_" without. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define base64_encoded_max(len) (((len) + 2) / 3 * 4)
#define base64_decoded_max(len) ((len) / 4 * 3 + 3)

/* Adds no NUL; returns the length. */
size_t base64_encode(char *out, const void *data, size_t len, bool is_url);
/* Returns the length, or -EINVAL: a foreign character, a wrong length or padding, or bits beyond
 * the last byte (so there is one text for each value). With `is_url` padding may be there or not.
 * `out` may be `text` itself. */
ssize_t base64_decode(char *out, const char *text, size_t len, bool is_url);

#endif
