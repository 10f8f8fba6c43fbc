/* A growable run of bytes. Growth doubles, so appending n bytes one by one copies at most 2n; what
 * is consumed leaves a gap in front, which is used again when it is at least as long as what
 * remains, so that a queue costs no more. */
#include "base/bytes.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define BYTES_FIRST_CAP 64

void bytes_init(struct bytes *bytes)
{
    bytes->data = NULL;
    bytes->len = 0;
    bytes->cap = 0;
    bytes->gap = 0;
}

static void rewind_to(struct bytes *bytes, char *start)
{
    bytes->data = start;
    bytes->cap += bytes->gap;
    bytes->gap = 0;
}

static void close_gap(struct bytes *bytes)
{
    char *start = bytes->data - bytes->gap;
    memmove(start, bytes->data, bytes->len);
    rewind_to(bytes, start);
}

void bytes_deinit(struct bytes *bytes)
{
    bytes_clear(bytes);
    mem_free(bytes->data);
    bytes_init(bytes);
}

/* The capacity to have for `extra` more bytes, or 0 when no size_t can say it. */
static size_t grown_cap(const struct bytes *bytes, size_t extra)
{
    if (extra > SIZE_MAX / 2 - bytes->len)
        return 0;
    size_t cap = bytes->cap ? bytes->cap : BYTES_FIRST_CAP;
    while (cap < bytes->len + extra)
        cap *= 2; /* ends at SIZE_MAX / 2 rounded up to a power of two: no overflow */
    return cap;
}

/* Whether `extra` bytes fit; tries the gap. `*wanted` is what to grow by if not. */
static bool has_room(struct bytes *bytes, size_t extra, size_t *wanted)
{
    *wanted = extra;
    if (extra <= bytes->cap - bytes->len)
        return true;
    if (bytes->gap == 0)
        return false;
    bool pays = bytes->gap >= bytes->len;
    close_gap(bytes);
    size_t room = bytes->cap - bytes->len;
    if (extra > room)
        return false;
    *wanted = room + 1; /* it would fit, but then each small gap would be closed: grow instead */
    return pays;
}

void bytes_grow(struct bytes *bytes, size_t extra)
{
    size_t wanted;
    if (has_room(bytes, extra, &wanted))
        return;
    size_t cap = grown_cap(bytes, wanted);
    assert(cap && "a size of our own never comes near SIZE_MAX");
    bytes->data = mem_realloc(bytes->data, cap);
    bytes->cap = cap;
}

/* `len` bytes known to fit; memcpy must not see NULL even for none. */
static void append_fitting(struct bytes *bytes, const void *data, size_t len)
{
    if (len == 0)
        return;
    memcpy(bytes->data + bytes->len, data, len);
    bytes->len += len;
}

void bytes_append(struct bytes *bytes, const void *data, size_t len)
{
    bytes_reserve(bytes, len);
    append_fitting(bytes, data, len);
}

int bytes_try_reserve(struct bytes *bytes, size_t extra)
{
    size_t wanted;
    if (has_room(bytes, extra, &wanted))
        return 0;
    size_t cap = grown_cap(bytes, wanted);
    char *moved = cap ? mem_try_realloc(bytes->data, cap) : NULL;
    if (!moved)
        return -ENOMEM;
    bytes->data = moved;
    bytes->cap = cap;
    return 0;
}

int bytes_try_append(struct bytes *bytes, const void *data, size_t len)
{
    int err = bytes_try_reserve(bytes, len);
    if (err)
        return err;
    append_fitting(bytes, data, len);
    return 0;
}

void bytes_append_text(struct bytes *bytes, const char *text)
{
    bytes_append(bytes, text, strlen(text));
}

void bytes_printf(struct bytes *bytes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bytes_vprintf(bytes, format, args);
    va_end(args);
}

void bytes_vprintf(struct bytes *bytes, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    size_t room = bytes->cap - bytes->len;
    /* The analyzer takes a va_list that comes from bytes_printf for uninitialized. */
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized)
    int len = vsnprintf(room ? bytes->data + bytes->len : NULL, room, format, again);
    assert(len >= 0 && "the format string is wrong");

    if ((size_t)len >= room) { /* vsnprintf also needs room for its NUL */
        bytes_reserve(bytes, (size_t)len + 1);
        vsnprintf(bytes->data + bytes->len, (size_t)len + 1, format, args);
    }
    va_end(again);
    bytes->len += (size_t)len;
}

void bytes_consume(struct bytes *bytes, size_t len)
{
    assert(len <= bytes->len);
    if (len == bytes->len) {
        bytes_clear(bytes);
        return;
    }
    bytes->data += len;
    bytes->len -= len;
    bytes->cap -= len;
    bytes->gap += len;
}

void bytes_clear(struct bytes *bytes)
{
    bytes->len = 0;
    if (bytes->gap > 0)
        rewind_to(bytes, bytes->data - bytes->gap);
}
