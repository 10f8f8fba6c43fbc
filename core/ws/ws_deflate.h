/* permessage-deflate (RFC 7692) without context takeover: every message is compressed by itself, so
 * nothing is kept between two, and one compressed message serves any number of clients. */
#ifndef WS_WS_DEFLATE_H
#define WS_WS_DEFLATE_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WS_WINDOW_BITS_MIN 9 /* zlib cannot do 8 */
#define WS_WINDOW_BITS_MAX 15
#define WS_DEFLATE_MIN 64 /* shorter messages are not worth it */

struct request;

/* Whether one of the client's offers of permessage-deflate can be taken; `window_bits` gets the
 * server_max_window_bits it asks for, 0 when it does not. */
bool ws_deflate_is_offered(const struct request *rq, int *window_bits);

/* Appends `data`, compressed with at most `window_bits`, to `out`. False, with `out` as it was:
 * that would not be smaller, or there is no memory for it. */
bool ws_deflate(struct bytes *out, const void *data, size_t len, int window_bits);

struct ws_inflater;
struct ws_inflater *ws_deflate_new_inflater(void); /* 40 KiB when used; NULL: no memory */
void ws_deflate_free_inflater(struct ws_inflater *inflater);
/* Inflates a whole message into `out`, which is cleared first. 0, -EMSGSIZE as soon as it exceeds
 * `max` bytes, -EINVAL, -ENOMEM. */
int ws_deflate_inflate(struct ws_inflater *inflater, struct bytes *out, const void *data,
                       size_t len, uint64_t max);

#endif
