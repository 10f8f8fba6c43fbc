/* gzip on zlib. Sizes are chosen by clients and handlers, so running out of memory is an answer
 * here. */
#include "http/gzip.h"

#include "base/mem.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

#define GZIP_LEVEL 5
#define GZIP_WINDOW_BITS 15
#define GZIP_WINDOW_BITS_MIN 9
#define GZIP_MEM_LEVEL 8
#define GZIP_WRAPPER 16 /* added to the window bits: write a gzip header, not zlib's */
#define GZIP_OUT_STEP ((size_t)16 * 1024)

/* ---- whether to ---- */

static bool ends_with(const char *text, size_t len, const char *end)
{
    size_t end_len = strlen(end);
    return len >= end_len && text_equal_nocase(text + len - end_len, end_len, end, end_len);
}

static bool is_one_of(const char *type, size_t len, const char *const *types)
{
    for (; *types; types++)
        if (text_equal_nocase(type, len, *types, strlen(*types)))
            return true;
    return false;
}

static bool is_compressible(const char *type, size_t len)
{
    static const char *const types[] = {
        "application/json",
        "application/javascript",
        "application/xml",
        "application/wasm",
        "application/x-ndjson",
        "application/rtf",
        "application/graphql",
        "application/sql",
        "application/x-javascript",
        "image/bmp",
        "image/x-icon",
        "image/vnd.microsoft.icon",
        "font/ttf",
        "font/otf",
        "application/vnd.ms-fontobject",
        NULL,
    };
    if (text_equal_nocase(type, len, "text/event-stream", 17))
        return false; /* lives long: 256 KiB each would be too much */
    return (len > 5 && text_equal_nocase(type, 5, "text/", 5)) || ends_with(type, len, "+json") ||
           ends_with(type, len, "+xml") || is_one_of(type, len, types);
}

bool gzip_is_worthwhile(const char *content_type)
{
    if (!content_type)
        return false;
    size_t type_len = strcspn(content_type, "; \t");
    return is_compressible(content_type, type_len);
}

static const char *gzip_skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    return at;
}

/* Whether parameters like ";q=0.00" say "not at all". What is not a number counts as a yes. */
static bool is_refused(const char *params, const char *end)
{
    const char *at = gzip_skip_blanks(params, end);
    if (at == end || *at != ';')
        return false;
    at = gzip_skip_blanks(at + 1, end);
    if (end - at < 3 || (*at != 'q' && *at != 'Q') || at[1] != '=' || at[2] != '0')
        return false;
    for (at += 3; at < end && (*at == '.' || *at == '0'); at++)
        ;
    return gzip_skip_blanks(at, end) == end;
}

bool gzip_coding_is_accepted(const char *accept_encoding, size_t len, const char *coding)
{
    const char *at = accept_encoding, *end = at + len;
    bool accepts_any = false;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;
        const char *name = gzip_skip_blanks(at, stop), *params = name;
        while (params < stop && *params != ';' && *params != ' ' && *params != '\t')
            params++;
        size_t name_len = (size_t)(params - name);
        if (text_equal_nocase(name, name_len, coding, strlen(coding)))
            return !is_refused(params, stop); /* its own word counts more than "*" */
        if (name_len == 1 && *name == '*')
            accepts_any = !is_refused(params, stop);
        at = comma ? comma + 1 : end;
    }
    return accepts_any;
}

/* ---- the stream ---- */

struct gzip {
    z_stream zlib;
    bool is_ended;
};

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

static int option_or(int value, int fallback)
{
    return value ? value : fallback;
}

static int stream_init(struct gzip *gzip, const struct gzip_options *options)
{
    memset(gzip, 0, sizeof(*gzip));
    gzip->zlib.zalloc = zlib_alloc;
    gzip->zlib.zfree = zlib_free;
    int status = deflateInit2(&gzip->zlib, option_or(options->level, GZIP_LEVEL), Z_DEFLATED,
                              option_or(options->window_bits, GZIP_WINDOW_BITS) + GZIP_WRAPPER,
                              option_or(options->mem_level, GZIP_MEM_LEVEL), Z_DEFAULT_STRATEGY);
    assert(status == Z_OK || status == Z_MEM_ERROR); /* anything else: options that do not exist */
    return status == Z_OK ? 0 : -ENOMEM;
}

struct gzip *gzip_new(const struct gzip_options *options)
{
    static const struct gzip_options defaults;
    struct gzip *gzip = mem_try_alloc(sizeof(*gzip));
    if (!gzip)
        return NULL;
    if (stream_init(gzip, options ? options : &defaults) < 0) {
        mem_free(gzip);
        return NULL;
    }
    return gzip;
}

void gzip_free(struct gzip *gzip)
{
    if (!gzip)
        return;
    deflateEnd(&gzip->zlib);
    mem_free(gzip);
}

/* Runs deflate until the piece it was given is used up and no output is pending. */
static int deflate_piece(z_stream *zlib, int flush, size_t step, struct bytes *out)
{
    do {
        if (out->cap - out->len < step && bytes_try_reserve(out, step) < 0)
            return -ENOMEM;
        size_t room = out->cap - out->len;
        zlib->avail_out = room < UINT_MAX ? (unsigned)room : UINT_MAX;
        zlib->next_out = (unsigned char *)out->data + out->len;
        unsigned before = zlib->avail_out;
        deflate(zlib, flush); /* Z_BUF_ERROR only says that there was nothing to do */
        out->len += before - zlib->avail_out;
    } while (zlib->avail_out == 0);
    return 0;
}

/* zlib counts in unsigned, so more than 4 GiB go in pieces; only the last one is flushed. */
static int deflate_all(z_stream *zlib, const void *data, size_t len, int flush, size_t step,
                       struct bytes *out)
{
    zlib->next_in = (unsigned char *)(uintptr_t)data; /* zlib does not write there */
    for (;;) {
        size_t piece = len < UINT_MAX ? len : UINT_MAX;
        zlib->avail_in = (unsigned)piece;
        len -= piece;
        int err = deflate_piece(zlib, len > 0 ? Z_NO_FLUSH : flush, step, out);
        if (err || len == 0)
            return err;
    }
}

int gzip_write(struct gzip *gzip, const void *data, size_t len, enum gzip_flush flush,
               struct bytes *out)
{
    static const int modes[] = {
        [GZIP_MORE] = Z_NO_FLUSH, [GZIP_FLUSH] = Z_SYNC_FLUSH, [GZIP_END] = Z_FINISH};
    assert(!gzip->is_ended);
    gzip->is_ended = flush == GZIP_END;
    if (len == 0 && flush == GZIP_MORE)
        return 0;
    return deflate_all(&gzip->zlib, data, len, modes[flush], GZIP_OUT_STEP, out);
}

/* ---- in one go ---- */

/* A window as large as the data is enough, and for a small body much cheaper to set up than 256
 * KiB. */
static int window_for(size_t len)
{
    int bits = GZIP_WINDOW_BITS_MIN;
    while (bits < GZIP_WINDOW_BITS && (size_t)1 << bits < len)
        bits++;
    return bits;
}

int gzip_compress(const void *data, size_t len, struct bytes *out)
{
    struct gzip gzip;
    int bits = window_for(len);
    struct gzip_options options = {.window_bits = bits,
                                   .mem_level = bits - GZIP_WINDOW_BITS + GZIP_MEM_LEVEL};
    int err = stream_init(&gzip, &options);
    if (err)
        return err;
    size_t start = out->len, step = len < GZIP_OUT_STEP ? len / 2 + 64 : GZIP_OUT_STEP;
    err = deflate_all(&gzip.zlib, data, len, Z_FINISH, step, out);
    deflateEnd(&gzip.zlib);
    if (err)
        out->len = start;
    return err;
}
