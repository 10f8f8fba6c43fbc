/* Blobs: counted bytes that never change. The last one to drop a blob frees it. */
#include "base/blob.h"

#include "base/mem.h"

#include <assert.h>
#include <stdint.h>

static struct blob *blob_start(struct blob *blob, size_t len)
{
    if (blob == NULL)
        return NULL;
    atomic_init(&blob->refs, 1);
    blob->len = len;
    return blob;
}

struct blob *blob_new(size_t len)
{
    assert(len < SIZE_MAX - sizeof(struct blob));
    return blob_start(mem_alloc(sizeof(struct blob) + len), len);
}

struct blob *blob_try_new(size_t len)
{
    if (len >= SIZE_MAX - sizeof(struct blob))
        return NULL;
    return blob_start(mem_try_alloc(sizeof(struct blob) + len), len);
}

struct blob *blob_hold(struct blob *blob)
{
    atomic_fetch_add_explicit(&blob->refs, 1, memory_order_relaxed);
    return blob;
}

void blob_drop(struct blob *blob)
{
    if (blob && atomic_fetch_sub_explicit(&blob->refs, 1, memory_order_acq_rel) == 1)
        mem_free(blob);
}
