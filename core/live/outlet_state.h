/* Inside an outlet: its channels, what is to be delivered, and the job that does it. Only core/live
 * includes this. */
#ifndef LIVE_OUTLET_STATE_H
#define LIVE_OUTLET_STATE_H

#include "live/channel.h"
#include "live/line.h"
#include "live/outlet.h"
#include "live/parcel.h"

struct outlet {
    struct hub *hub;
    struct loop *loop;
    struct loop_job flush;
    pthread_t thread; /* the loop's; publishers read it once a topic knows a channel of ours */
    bool has_thread;
    bool is_flushing;
    bool was_resumed;     /* `serving` asked for more while it was being served */
    struct feed *serving; /* its callback is running; NULL once it was closed in there */
    struct list channels; /* all */
    struct list passes;   /* those with feeds to look at, or without any feed */
    struct line line;     /* feeds to be served one by one: opened, resumed, or behind */
    struct parcels parcels;
    /* Any thread: */
    struct channel *_Atomic dirty; /* channels that were published to, newest first */
    struct loop_message wake;
    atomic_bool is_posted; /* `wake` is on its way */
    bool is_gone;          /* freed when `wake` has arrived */
};

/* There is something new for this channel. Any thread, under the topic's lock. */
void outlet_mark(struct channel *channel);
void outlet_know_thread(struct outlet *outlet);
/* The outlet's own thread: there is something to do. */
void outlet_defer(struct outlet *outlet);
/* This channel has no feeds left: freed in the next flush, unless one comes. */
void outlet_reap(struct channel *channel);

#endif
