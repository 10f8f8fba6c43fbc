/* A growable run of bytes: the buffer every room uses. The storage of the struct belongs to the
 * caller; `data` is NULL until something is put in. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct bytes {
    char *data;
    size_t len; /* bytes in use */
    size_t cap; /* bytes allocated, from `data` on */
    size_t gap; /* bytes allocated before `data`: consumed */
};

void bytes_init(struct bytes *bytes);
void bytes_deinit(struct bytes *bytes);             /* frees; may be used again */
void bytes_grow(struct bytes *bytes, size_t extra); /* for bytes_reserve */
/* Room for `extra` more. */
static inline void bytes_reserve(struct bytes *bytes, size_t extra)
{
    if (extra > bytes->cap - bytes->len)
        bytes_grow(bytes, extra);
}
void bytes_append(struct bytes *bytes, const void *data, size_t len);
int bytes_try_reserve(struct bytes *bytes, size_t extra);                /* 0 or -ENOMEM */
int bytes_try_append(struct bytes *bytes, const void *data, size_t len); /* 0 or -ENOMEM */
void bytes_append_text(struct bytes *bytes, const char *text);
void bytes_printf(struct bytes *bytes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void bytes_vprintf(struct bytes *bytes, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
void bytes_consume(struct bytes *bytes, size_t len); /* drop the first `len` bytes: moves none */
void bytes_clear(struct bytes *bytes);               /* len = 0, keeps the storage */

#endif
