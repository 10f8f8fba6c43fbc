/* Batches: joining messages for sending. */
#include "live/batch.h"

#include "base/mem.h"

const struct joined *batch_joined(struct batch *batch, enum message_encoding which,
                                  message_encode_fn make)
{
    struct joined *joined = &batch->joined[which];
    if (joined->bytes.len > 0)
        return joined;
    if (!joined->ends)
        joined->ends = mem_alloc(BATCH_MAX * sizeof(*joined->ends));
    for (int i = 0; i < batch->count; i++) {
        const struct blob *blob = message_encoded(batch->messages[i], which, make);
        if (blob == NULL || bytes_try_append(&joined->bytes, blob->data, blob->len)) {
            bytes_clear(&joined->bytes);
            return NULL;
        }
        joined->ends[i] = joined->bytes.len;
    }
    return joined;
}

void batch_clear(struct batch *batch)
{
    for (int i = 0; i < ENCODINGS; i++)
        bytes_clear(&batch->joined[i].bytes);
    batch->count = 0;
}

void batch_deinit(struct batch *batch)
{
    for (int i = 0; i < ENCODINGS; i++) {
        bytes_deinit(&batch->joined[i].bytes);
        mem_free(batch->joined[i].ends);
        batch->joined[i].ends = NULL;
    }
}
