/* Parcels: reading from the logs, and merging what several topics have. */
#include "live/parcel.h"

#include "live/channel.h"

#include <assert.h>
#include <string.h>

/* ---- batches ---- */

const struct bytes *batch_joined(struct batch *batch, enum message_encoding which,
                                 message_encode_fn make)
{
    struct bytes *joined = &batch->joined[which];
    if (joined->len > 0)
        return joined;
    for (int i = 0; i < batch->count; i++) {
        const struct blob *blob = message_encoded(batch->messages[i], which, make);
        if (blob == NULL || bytes_try_append(joined, blob->data, blob->len)) {
            bytes_clear(joined);
            return NULL;
        }
    }
    return joined;
}

/* ---- parcels ---- */

static void parcel_empty(struct parcel *parcel)
{
    for (int i = 0; i < parcel->batch.count; i++)
        message_drop(parcel->messages[i]);
    for (int i = 0; i < ENCODINGS; i++)
        bytes_clear(&parcel->batch.joined[i]);
    parcel->batch.count = 0;
    parcel->channel = NULL;
}

static void parcel_clear(struct parcel *parcel)
{
    parcel_empty(parcel);
    for (int i = 0; i < ENCODINGS; i++)
        bytes_deinit(&parcel->batch.joined[i]);
}

/* Takes over what was picked. */
static void parcel_fill(struct parcel *parcel, const struct pick *picks, int count, uint64_t head)
{
    parcel->batch.messages = parcel->messages;
    parcel->batch.count = count;
    parcel->batch.head = head;
    for (int i = 0; i < count; i++) {
        parcel->messages[i] = picks[i].message;
        parcel->skipped[i] = picks[i].skipped;
        parcel->seats[i] = picks[i].seat;
    }
}

static bool is_for(const struct parcel *parcel, const struct channel *channel, uint64_t cursor,
                   bool is_conflated)
{
    return parcel->channel == channel && parcel->is_conflated == is_conflated &&
           cursor < parcel->behind && (cursor >= parcel->lo || parcel->is_oldest);
}

static void parcel_read(struct parcel *parcel, const struct channel *channel, uint64_t cursor,
                        uint64_t head, bool is_conflated)
{
    struct pick picks[PARCEL_MESSAGES];
    struct reading reading = {.from = cursor,
                              .to = head,
                              .max = PARCEL_MESSAGES,
                              .max_bytes = PARCEL_BYTES,
                              .is_conflated = is_conflated,
                              .picks = picks};
    topic_pick(channel->topic, &reading);
    uint64_t end = reading.is_cut ? picks[reading.count - 1].message->seq : head;
    parcel_fill(parcel, picks, reading.count, end);
    parcel->channel = channel;
    parcel->is_conflated = is_conflated;
    parcel->lo = reading.lo;
    parcel->is_oldest = reading.lo == reading.floor;
    if (is_conflated) /* from further on, what is left out would be another number */
        parcel->behind = (cursor > reading.lo ? cursor : reading.lo) + 1;
    else
        parcel->behind = reading.count > 0 ? picks[0].message->seq : head;
}

struct parcel *parcel_for(struct parcels *parcels, const struct channel *channel, uint64_t cursor,
                          uint64_t head, bool is_conflated)
{
    struct parcel *parcel = parcels->recent;
    if (parcel && is_for(parcel, channel, cursor, is_conflated))
        return parcel;
    for (int i = 0; i < PARCELS; i++) {
        parcels->recent = &parcels->all[i];
        if (is_for(parcels->recent, channel, cursor, is_conflated))
            return parcels->recent;
    }
    parcel = &parcels->all[parcels->next];
    parcels->next = (parcels->next + 1) % PARCELS;
    parcels->recent = parcel;
    parcel_empty(parcel);
    parcel_read(parcel, channel, cursor, head, is_conflated);
    return parcel;
}

void parcels_forget(struct parcels *parcels, const struct channel *channel)
{
    for (int i = 0; i < PARCELS; i++)
        if (parcels->all[i].channel == channel)
            parcel_empty(&parcels->all[i]);
}

void parcels_clear(struct parcels *parcels)
{
    for (int i = 0; i < PARCELS; i++)
        parcel_clear(&parcels->all[i]);
    parcel_clear(&parcels->several);
    parcels->recent = NULL;
    parcels->next = 0;
}
