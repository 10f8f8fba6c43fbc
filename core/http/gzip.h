/* gzip, in one go and as a stream, and the question whether to. */
#ifndef HTTP_GZIP_H
#define HTTP_GZIP_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>

/* Whether bodies of this content type shrink enough to pay; from which length on is the caller's
 * choice. */
bool gzip_is_worthwhile(const char *content_type);
/* Whether the value of an Accept-Encoding takes `coding` ("gzip", "br"). */
bool gzip_coding_is_accepted(const char *accept_encoding, size_t len, const char *coding);

/* Appends the compressed `data`. 0, or -ENOMEM, with `out` as it was. */
int gzip_compress(const void *data, size_t len, struct bytes *out);

/* 0 stands for the default. Memory: 2^(window_bits + 2) + 2^(mem_level + 9) bytes, so 256 KiB by
 * default. */
struct gzip_options {
    int level;       /* 1 fast to 9 small, default 5 */
    int window_bits; /* 9 to 15, default 15 */
    int mem_level;   /* 1 to 9, default 8 */
};

enum gzip_flush {
    GZIP_MORE,  /* keep what does not fill a block */
    GZIP_FLUSH, /* the client shall see all that was written so far */
    GZIP_END,   /* nothing will follow */
};

struct gzip;

/* NULL: no memory. `options` may be NULL: the defaults. */
struct gzip *gzip_new(const struct gzip_options *options);
/* Appends what is ready to `out`. 0, or -ENOMEM: the stream is broken, free it. */
int gzip_write(struct gzip *gzip, const void *data, size_t len, enum gzip_flush flush,
               struct bytes *out);
void gzip_free(struct gzip *gzip);

#endif
