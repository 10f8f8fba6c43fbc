/* Content-Disposition of a form's part: the names in it, decoded from the several ways in which
 * clients send them. */
#ifndef HTTP_DISPOSITION_H
#define HTTP_DISPOSITION_H

#include <stddef.h>

struct disposition {
    const char *name;
    size_t name_len;
    const char *filename; /* NULL: none */
    size_t filename_len;
};

/* Reads "form-data; name=...". The names are put into `buffer`, which holds `len` bytes. 0 or
 * -EINVAL. */
int disposition_parse(struct disposition *disposition, const char *text, size_t len, char *buffer);

#endif
