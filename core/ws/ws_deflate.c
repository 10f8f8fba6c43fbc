/* permessage-deflate on zlib: see ws_deflate.h. The offers are read in ws_offer.c. */
#include "ws/ws_deflate.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <zlib.h>

#define LEVEL 5
#define STEP ((size_t)16 * 1024)
#define FLUSH_ROOM 16      /* what a flush may add to deflateBound, and a byte that stays free */
#define WINDOW_RESERVE 262 /* of a window, zlib uses this much less: its MIN_LOOKAHEAD */

/* What a message's last block ends with, and both sides leave out. */
static const unsigned char tail[4] = {0x00, 0x00, 0xff, 0xff};

static void *zlib_alloc(void *opaque, unsigned items, unsigned size)
{
    (void)opaque;
    return mem_try_alloc((size_t)items * size);
}

static void zlib_free(void *opaque, void *ptr)
{
    (void)opaque;
    mem_free(ptr);
}

/* ---- deflate ---- */

/* The smallest window that reaches back over the whole message: a small one costs little to set
 * up. */
static int window_for(size_t len, int max_bits)
{
    int bits = WS_WINDOW_BITS_MIN;
    while (bits < max_bits && ((size_t)1 << bits) < len + WINDOW_RESERVE)
        bits++;
    return bits;
}

static int compress_into(z_stream *zlib, struct bytes *out, size_t len)
{
    size_t room = deflateBound(zlib, len) + FLUSH_ROOM;
    int err = bytes_try_reserve(out, room);
    if (err)
        return err;
    zlib->next_out = (unsigned char *)out->data + out->len;
    zlib->avail_out = (unsigned)room;
    int status = deflate(zlib, Z_SYNC_FLUSH);
    assert(status == Z_OK && zlib->avail_in == 0 && zlib->avail_out > 0);
    (void)status;
    return 0;
}

bool ws_deflate(struct bytes *out, const void *data, size_t len, int window_bits)
{
    int bits = window_for(len, window_bits);
    int mem_level = bits - 7; /* as much for its hash table as for the window */
    z_stream zlib = {.zalloc = zlib_alloc, .zfree = zlib_free};
    if (len > UINT_MAX / 2 ||
        deflateInit2(&zlib, LEVEL, Z_DEFLATED, -bits, mem_level, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    zlib.next_in = (unsigned char *)(uintptr_t)data;
    zlib.avail_in = (unsigned)len;
    int err = compress_into(&zlib, out, len);
    size_t compressed = (size_t)zlib.total_out;
    deflateEnd(&zlib);
    if (err || compressed - sizeof(tail) >= len)
        return false;
    assert(memcmp(out->data + out->len + compressed - sizeof(tail), tail, sizeof(tail)) == 0);
    out->len += compressed - sizeof(tail);
    return true;
}

/* ---- inflate ---- */

struct ws_inflater {
    z_stream zlib;
};

struct ws_inflater *ws_deflate_new_inflater(void)
{
    struct ws_inflater *inflater = mem_try_alloc(sizeof(*inflater));
    if (!inflater)
        return NULL;
    inflater->zlib = (z_stream){.zalloc = zlib_alloc, .zfree = zlib_free};
    if (inflateInit2(&inflater->zlib, -WS_WINDOW_BITS_MAX) == Z_OK)
        return inflater;
    mem_free(inflater);
    return NULL;
}

void ws_deflate_free_inflater(struct ws_inflater *inflater)
{
    if (!inflater)
        return;
    inflateEnd(&inflater->zlib);
    mem_free(inflater);
}

/* One step of at most STEP bytes. */
static int inflate_step(z_stream *zlib, struct bytes *out, uint64_t max, int *status)
{
    int err = bytes_try_reserve(out, STEP);
    if (err)
        return err;
    zlib->next_out = (unsigned char *)out->data + out->len;
    zlib->avail_out = (unsigned)STEP;
    *status = inflate(zlib, Z_SYNC_FLUSH);
    out->len += STEP - zlib->avail_out;
    if (out->len > max)
        return -EMSGSIZE;
    if (*status == Z_MEM_ERROR)
        return -ENOMEM;
    bool is_well = *status == Z_OK || *status == Z_STREAM_END || *status == Z_BUF_ERROR;
    return is_well ? 0 : -EINVAL;
}

/* Until the input is used up. A message may hold several streams, as each block that is marked as
 * the last one ends one. 1: that was such a block. */
static int inflate_run(z_stream *zlib, struct bytes *out, const void *data, size_t len,
                       uint64_t max)
{
    int status = Z_OK;
    zlib->next_in = (unsigned char *)(uintptr_t)data;
    zlib->avail_in = (unsigned)len;
    do {
        int err = inflate_step(zlib, out, max, &status);
        if (err)
            return err;
        if (status == Z_STREAM_END)
            inflateReset(zlib);
    } while (zlib->avail_in > 0 || zlib->avail_out == 0);
    return status == Z_STREAM_END;
}

/* Whether it stands between two blocks, with no bits left over: zlib's data_type says so. */
static bool is_at_boundary(const z_stream *zlib)
{
    return (zlib->data_type & 128) && (zlib->data_type & 63) == 0;
}

int ws_deflate_inflate(struct ws_inflater *inflater, struct bytes *out, const void *data,
                       size_t len, uint64_t max)
{
    z_stream *zlib = &inflater->zlib;
    bytes_clear(out);
    if (len > UINT_MAX)
        return -EMSGSIZE;
    inflateReset(zlib);
    int result = inflate_run(zlib, out, data, len, max);
    if (result != 0)
        return result < 0 ? result : 0; /* needs no tail */
    result = inflate_run(zlib, out, tail, sizeof(tail), max);
    if (result < 0)
        return result;
    return is_at_boundary(zlib) ? 0 : -EINVAL; /* it was cut off */
}
