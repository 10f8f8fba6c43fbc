/* A batch: messages on their way to feeds. */
#ifndef LIVE_BATCH_H
#define LIVE_BATCH_H

#include "base/bytes.h"
#include "live/message.h"

#define BATCH_MAX 64 /* messages */

/* Messages of a batch in one encoding, one behind the other. */
struct joined {
    struct bytes bytes; /* len 0: not made yet */
    size_t *ends;       /* where each message ends in it; NULL: never made */
};

/* Messages for a feed, in order of seq. Feeds at the same cursor get the same batch, so what one of
 * them joins for sending serves the others. Valid during on_messages. */
struct batch {
    struct message **messages;
    int count;
    uint64_t head; /* the cursor of a feed that has taken all */
    struct joined joined[ENCODINGS];
};
/* The whole batch in one encoding; NULL: out of memory. */
const struct joined *batch_joined(struct batch *batch, enum message_encoding which,
                                  message_encode_fn make);
void batch_clear(struct batch *batch); /* forgets what is in it, keeps its memory */
void batch_deinit(struct batch *batch);

#endif
