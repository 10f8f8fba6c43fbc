/* Outlets: one worker's deliveries. Publishers put channels into its list of dirty ones and wake
 * it; the flush job at the end of the turn makes a pass over each channel's feeds, and serves those
 * in the line one by one. Both in slices, with a look at I/O between them. */
#include "live/outlet.h"

#include "base/mem.h"
#include "base/tally.h"
#include "live/delivery.h"
#include "live/hub.h"
#include "live/hub_state.h"
#include "live/outlet_state.h"

#include <assert.h>

#define SLICE_FEEDS 512
#define SHARE_FEEDS 64 /* of one channel, or of the line, before others get their share */
#define FETCH_AHEAD 4

struct slice {
    struct turn *turn;
    int left; /* feeds */
};

/* ---- life ---- */

static void flush(struct loop_job *job);
static void on_wake(struct loop *loop, struct loop_message *message);

struct outlet *outlet_new(struct hub *hub, struct loop *loop)
{
    struct outlet *outlet = mem_calloc(sizeof(*outlet));
    outlet->hub = hub;
    atomic_store_explicit(&hub->mark, outlet_mark, memory_order_relaxed);
    outlet->loop = loop;
    outlet->flush.run = flush;
    outlet->wake.run = on_wake;
    list_init(&outlet->channels);
    list_init(&outlet->passes);
    line_init(&outlet->line);
    tally_add(TALLY_OUTLET, 1);
    return outlet;
}

struct hub *outlet_hub(const struct outlet *outlet)
{
    return outlet->hub;
}

/* Once the topics know none of our channels, nobody can wake us; but `wake` may be on its way. */
void outlet_free(struct outlet *outlet)
{
    assert(!outlet->is_flushing);
    list_each (link, &outlet->channels) {
        struct channel *channel = container_of(link, struct channel, member);
        if (!channel->is_detached)
            channel_detach(channel);
    }
    while (!list_is_empty(&outlet->channels))
        channel_free(container_of(outlet->channels.next, struct channel, member));
    loop_cancel_job(&outlet->flush);
    parcels_clear(&outlet->parcels);
    line_deinit(&outlet->line);
    tally_add(TALLY_OUTLET, -1);
    outlet->is_gone = true;
    if (!atomic_load_explicit(&outlet->is_posted, memory_order_acquire))
        mem_free(outlet);
}

/* Before any publisher can know us, as a topic's lock is taken afterwards. */
void outlet_know_thread(struct outlet *outlet)
{
    if (!outlet->has_thread)
        outlet->thread = pthread_self();
    outlet->has_thread = true;
    assert(pthread_equal(outlet->thread, pthread_self()) && "a feed belongs to its loop's thread");
}

/* ---- waking ---- */

static void on_wake(struct loop *loop, struct loop_message *message)
{
    struct outlet *outlet = container_of(message, struct outlet, wake);
    if (outlet->is_gone) {
        mem_free(outlet);
        return;
    }
    atomic_exchange_explicit(&outlet->is_posted, false, memory_order_acq_rel);
    loop_defer(loop, &outlet->flush);
}

void outlet_defer(struct outlet *outlet)
{
    if (!outlet->is_flushing) /* who then sees for itself whether there is more to do */
        loop_defer(outlet->loop, &outlet->flush);
}

static void push_dirty(struct outlet *outlet, struct channel *channel)
{
    struct channel *newest = atomic_load_explicit(&outlet->dirty, memory_order_relaxed);
    do {
        channel->next_dirty = newest;
    } while (!atomic_compare_exchange_weak_explicit(&outlet->dirty, &newest, channel,
                                                    memory_order_release, memory_order_relaxed));
}

/* The flags are cleared before the head is loaded, so a message is in the pass that follows or sets
 * the flag again. */
void outlet_mark(struct channel *channel)
{
    struct outlet *outlet = channel->outlet;
    if (channel->is_idle ||
        atomic_exchange_explicit(&channel->is_dirty, true, memory_order_acq_rel))
        return;
    push_dirty(outlet, channel);
    if (pthread_equal(outlet->thread, pthread_self()))
        loop_defer(outlet->loop, &outlet->flush);
    else if (!atomic_exchange_explicit(&outlet->is_posted, true, memory_order_acq_rel))
        loop_post(outlet->loop, &outlet->wake);
}

/* ---- slices ---- */

static void slice_start(struct slice *slice, struct turn *turn)
{
    *slice = (struct slice){.turn = turn, .left = SLICE_FEEDS};
    turn_begin(turn, TURN_FEEDS);
    if (turn_is_over(turn, TURN_FEEDS))
        slice->left = 0; /* it was all used earlier in this turn */
}

static bool slice_is_over(const struct slice *slice)
{
    return slice->left <= 0;
}

static void slice_use(struct slice *slice)
{
    if (--slice->left % TURN_STEPS == 0 && turn_ends(slice->turn, TURN_FEEDS))
        slice->left = 0;
}

/* ---- passes ---- */

void outlet_reap(struct channel *channel)
{
    if (list_is_empty(&channel->link))
        list_push(&channel->outlet->passes, &channel->link);
    outlet_defer(channel->outlet);
}

static void pass_begin(struct channel *channel)
{
    struct outlet *outlet = channel->outlet;
    channel->is_passing = true;
    channel->is_again = false;
    channel->next = channel->active;
    channel->head = hub_head(outlet->hub);
    parcels_forget(&outlet->parcels, channel);
    if (list_is_empty(&channel->link))
        list_push(&outlet->passes, &channel->link);
}

static void take_dirty(struct outlet *outlet)
{
    struct channel *channel = atomic_exchange_explicit(&outlet->dirty, NULL, memory_order_acquire);
    while (channel) {
        struct channel *next = channel->next_dirty;
        atomic_exchange_explicit(&channel->is_dirty, false, memory_order_acq_rel);
        if (channel->is_detached)
            channel_free(channel);
        else if (channel->is_passing)
            channel->is_again = true;
        else
            pass_begin(channel);
        channel = next;
    }
}

/* Nobody is in it any more. When it is dirty, take_dirty will find and free it. */
static void reap(struct channel *channel)
{
    list_remove(&channel->link);
    parcels_forget(&channel->outlet->parcels, channel);
    channel_detach(channel);
    if (!atomic_load_explicit(&channel->is_dirty, memory_order_acquire))
        channel_free(channel);
}

/* The one that the pass looks at next. Feeds come and go in the callbacks. */
static struct feed *next_feed(struct channel *channel)
{
    if (channel->next > channel->active)
        channel->next = channel->active;
    if (channel->next == 0)
        return NULL;
    channel->next--;
    if (channel->next >= FETCH_AHEAD)
        __builtin_prefetch(channel->feeds[channel->next - FETCH_AHEAD]);
    return channel->feeds[channel->next];
}

static void serve_share(struct channel *channel, struct slice *slice)
{
    struct line *line = &channel->outlet->line;
    for (int i = 0; i < SHARE_FEEDS && !slice_is_over(slice); i++) {
        struct feed *feed = next_feed(channel);
        if (feed == NULL)
            return;
        if (feed->count > 1)
            line_push(line, &feed->queued); /* once, however many of its topics have news */
        else if (feed->queued.number == 0)
            delivery_serve(feed, channel->head); /* may close and free any feed */
        slice_use(slice);
    }
}

static void serve_passes(struct outlet *outlet, struct slice *slice)
{
    struct list *link = list_shift(&outlet->passes);
    if (link == NULL)
        return;
    struct channel *channel = container_of(link, struct channel, link);
    slice_use(slice);
    serve_share(channel, slice);
    if (channel->next > 0 && channel->active > 0) {
        if (list_is_empty(&channel->link))
            list_push(&outlet->passes, &channel->link);
        return;
    }
    channel->is_passing = false;
    if (channel->count == 0)
        reap(channel);
    else if (channel->is_again)
        pass_begin(channel);
}

static struct feed *shift(struct line *line)
{
    struct line_place *place = line_shift(line);
    return place ? container_of(place, struct feed, queued) : NULL;
}

static void serve_line(struct outlet *outlet, struct slice *slice)
{
    uint32_t share = outlet->line.count < SHARE_FEEDS ? outlet->line.count : SHARE_FEEDS;
    uint64_t head = hub_head(outlet->hub);
    while (share-- > 0 && !slice_is_over(slice)) {
        struct feed *feed = shift(&outlet->line);
        if (feed == NULL)
            return;
        slice_use(slice);
        delivery_serve(feed, head); /* may close and free any feed */
    }
}

/* ---- the job ---- */

static bool has_work(const struct outlet *outlet)
{
    return outlet->line.count > 0 || !list_is_empty(&outlet->passes);
}

static void flush(struct loop_job *job)
{
    struct outlet *outlet = container_of(job, struct outlet, flush);
    struct slice slice;
    slice_start(&slice, &outlet->loop->turn);
    outlet->is_flushing = true;
    take_dirty(outlet);
    while (has_work(outlet) && !slice_is_over(&slice)) {
        serve_line(outlet, &slice);
        serve_passes(outlet, &slice);
    }
    outlet->is_flushing = false;
    if (!has_work(outlet)) {
        parcels_clear(&outlet->parcels);
        return;
    }
    loop_cancel_job(job); /* a callback may have published, which asks for this turn */
    loop_defer_next(outlet->loop, job);
}
