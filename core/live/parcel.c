/* Parcels: reading from the logs, and merging what several topics have. */
#include "live/parcel.h"

#include "base/mem.h"
#include "live/channel.h"

#include <assert.h>
#include <string.h>

static void parcel_empty(struct parcel *parcel)
{
    for (int i = 0; i < parcel->batch.count; i++)
        message_drop(parcel->messages[i]);
    batch_clear(&parcel->batch);
    parcel->channel = NULL;
}

static void parcel_clear(struct parcel *parcel)
{
    parcel_empty(parcel);
    batch_deinit(&parcel->batch);
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
    struct pick picks[BATCH_MAX];
    struct reading reading = {.from = cursor,
                              .to = head,
                              .max = BATCH_MAX,
                              .max_bytes = PARCEL_BYTES,
                              .head = head,
                              .is_conflated = is_conflated,
                              .picks = picks};
    topic_pick(channel->topic, &reading);
    uint64_t end = reading.is_cut ? picks[reading.count - 1].message->seq : head;
    parcel_fill(parcel, picks, reading.count, end);
    parcel->channel = channel;
    parcel->is_conflated = is_conflated;
    parcel->lo = reading.lo;
    parcel->is_oldest = reading.lo == reading.lost;
    if (is_conflated) /* from further on, what is left out would be another number */
        parcel->behind = (cursor > reading.lo ? cursor : reading.lo) + 1;
    else
        parcel->behind = reading.count > 0 ? picks[0].message->seq : head;
}

static struct parcel *parcel_find(struct parcels *parcels, const struct channel *channel,
                                  uint64_t cursor, bool is_conflated)
{
    for (int i = 0; i < parcels->used; i++)
        if (is_for(&parcels->all[i], channel, cursor, is_conflated))
            return &parcels->all[i];
    return NULL;
}

static struct parcel *take_next(struct parcels *parcels)
{
    struct parcel *parcel = &parcels->all[parcels->next++];
    if (parcels->next > parcels->used)
        parcels->used = parcels->next;
    if (parcels->next == PARCELS)
        parcels->next = 0;
    parcel_empty(parcel);
    return parcel;
}

struct parcel *parcel_for(struct parcels *parcels, const struct channel *channel, uint64_t cursor,
                          uint64_t head, bool is_conflated)
{
    struct parcel *parcel = parcels->recent;
    if (parcel && is_for(parcel, channel, cursor, is_conflated))
        return parcel;
    parcel = parcel_find(parcels, channel, cursor, is_conflated);
    if (parcel == NULL) {
        parcel = take_next(parcels);
        parcel_read(parcel, channel, cursor, head, is_conflated);
    }
    parcels->recent = parcel;
    return parcel;
}

void parcels_forget(struct parcels *parcels, const struct channel *channel)
{
    parcels->count = 0;
    for (int i = 0; i < parcels->used; i++)
        if (parcels->all[i].channel == channel)
            parcel_empty(&parcels->all[i]);
}

void parcels_clear(struct parcels *parcels)
{
    for (int i = 0; i < parcels->used; i++)
        parcel_clear(&parcels->all[i]);
    parcel_clear(&parcels->several);
    parcels->count = 0;
    parcels->recent = NULL;
    parcels->used = 0;
    parcels->next = 0;
}

/* ---- several topics ---- */

struct merge {
    struct pick picks[BATCH_MAX];
    int count;
    uint64_t to; /* everything up to here is in `picks` */
};

/* How many of the picks, which are in order, may stay: up to `to`, 64, and 64 KiB. What is behind
 * them has to wait, and `to` says so. */
static int fitting(const struct pick *picks, int count, uint64_t *to)
{
    uint64_t bytes = 0;
    for (int i = 0; i < count; i++) {
        if (picks[i].message->seq > *to)
            return i;
        bytes += picks[i].message->len;
        if (i == BATCH_MAX || (i > 0 && bytes > PARCEL_BYTES)) {
            *to = picks[i - 1].message->seq;
            return i;
        }
    }
    return count;
}

static void merge_in(struct merge *merge, const struct reading *reading)
{
    struct pick both[2 * BATCH_MAX];
    int count = 0;
    int a = 0;
    int b = 0;
    while (a < merge->count || b < reading->count) {
        bool takes_a =
            b == reading->count ||
            (a < merge->count && merge->picks[a].message->seq < reading->picks[b].message->seq);
        both[count++] = takes_a ? merge->picks[a++] : reading->picks[b++];
    }
    merge->count = fitting(both, count, &merge->to);
    memcpy(merge->picks, both, (size_t)merge->count * sizeof(struct pick));
    for (int i = merge->count; i < count; i++)
        message_drop(both[i].message);
}

static void merge_seat(struct merge *merge, struct seat *seat, uint8_t number,
                       struct reading *reading)
{
    struct pick picks[BATCH_MAX];
    reading->to = merge->to;
    reading->picks = picks;
    topic_pick(seat->channel->topic, reading);
    seat->lost = reading->lost;
    for (int i = 0; i < reading->count; i++)
        picks[i].seat = number;
    if (reading->is_cut)
        merge->to = picks[reading->count - 1].message->seq;
    merge_in(merge, reading);
}

/* Many feeds may have the same topics, in the same order, as they were opened by the same code. */
static bool is_like_last(const struct parcels *parcels, const struct feed *feed, bool is_conflated)
{
    if (parcels->count != feed->count || parcels->several.lo != feed->cursor ||
        parcels->several.is_conflated != is_conflated)
        return false;
    for (int i = 0; i < feed->count; i++)
        if (parcels->channels[i] != feed->in.seats[i].channel)
            return false;
    return true;
}

/* What is new is for others as well, unless some was lost: then the seats have to say so. */
static void remember(struct parcels *parcels, const struct feed *feed, bool is_conflated)
{
    parcels->count = feed->count;
    parcels->several.lo = feed->cursor;
    parcels->several.is_conflated = is_conflated;
    for (int i = 0; i < feed->count; i++) {
        parcels->channels[i] = feed->in.seats[i].channel;
        if (feed->in.seats[i].lost > feed->cursor)
            parcels->count = 0;
    }
}

static void merge_all(struct parcel *parcel, const struct feed *feed, uint64_t head,
                      bool is_conflated)
{
    struct merge merge;
    struct reading reading = {.from = feed->cursor,
                              .max = BATCH_MAX,
                              .max_bytes = PARCEL_BYTES,
                              .head = head,
                              .is_conflated = is_conflated};
    merge.count = 0;
    merge.to = head;
    for (uint8_t i = 0; i < feed->count; i++)
        if (topic_last(feed->in.seats[i].channel->topic) > feed->cursor)
            merge_seat(&merge, &feed->in.seats[i], i, &reading);
    parcel_fill(parcel, merge.picks, merge.count, merge.to);
}

struct parcel *parcel_merged(struct parcels *parcels, const struct feed *feed, uint64_t head,
                             bool is_conflated)
{
    if (is_like_last(parcels, feed, is_conflated))
        return &parcels->several;
    parcel_empty(&parcels->several);
    merge_all(&parcels->several, feed, head, is_conflated);
    remember(parcels, feed, is_conflated);
    return &parcels->several;
}
