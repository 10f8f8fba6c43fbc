/* What one turn of the loop may cost. A turn has about 3 ms, after which I/O is looked at again,
 * and each kind of work has its slice of them; what has had no time goes on next turn, in its
 * order.
 *
 * Input has slices as output has. Connections are read as they become readable while that takes no
 * longer than a slice. After that they queue: whoever is readable, and whoever has used up its
 * share and left a rest of its bytes with its owner. The queue gets what others leave of the turn,
 * at least half a slice, divided among those who wait: one request or frame for each, and more
 * while its share lasts. Whoever left a rest, or took long, more than once is heavy, and the others
 * go first: one of each in turn, while there are both. So a peer that is alone has all of it, and
 * those that flood us hardly delay who asks for little.
 *
 * What the kernel has room for again leaves in slices as well: see outbox.c.
 *
 * What input wakes shall run in the same turn, so the queue ends a slice before the turn does. No
 * slice lasts longer than the turn, but each is long enough for one piece of its work.
 *
 * The clock is looked at once in eight steps (requests, frames, accepted connections, 8 KB
 * written), or at each when the last ones took long. */
#ifndef NET_TURN_H
#define NET_TURN_H

#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;
struct loop;

#define TURN_NS 3000000
#define TURN_SLICE_NS 1000000
#define TURN_STEPS 8      /* between two looks at the clock */
#define TURN_STEP_BITS 13 /* 8 KB written are a step */

enum turn_kind {
    TURN_INPUT,
    TURN_DEADLINES,
    TURN_TASKS,
    TURN_FEEDS,
    TURN_WRITES,
    TURN_FILES,
    TURN_KINDS,
};

struct turn {
    uint64_t start_ns;           /* 0: the clock has not been looked at in this turn */
    uint64_t now_ns;             /* the last look */
    uint64_t end_ns[TURN_KINDS]; /* of its slice; 0: has not begun in this turn */
    uint64_t entered_ns;         /* when the connection that is being read got its share */
    uint64_t share_ns;           /* how long that is */
    uint32_t steps;              /* since the last look */
    uint32_t most_steps;         /* then it is time for the next */
    uint32_t queued;
    bool is_spent;     /* so is the share, by the last look */
    bool is_crowded;   /* a connection that is readable has to queue */
    bool was_light;    /* who was served last */
    struct list light; /* connections that wait for their turn, by stopped_link */
    struct list heavy;
};

void turn_init(struct turn *turn);
void turn_end(struct turn *turn); /* before the loop sleeps */
void turn_look(struct turn *turn);
void turn_look_again(struct turn *turn); /* for turn_step */
void turn_look_in(struct turn *turn);    /* for turn_enter */
/* Begins a slice, unless that was done in this turn. */
void turn_begin(struct turn *turn, enum turn_kind kind);
static inline bool turn_is_over(const struct turn *turn, enum turn_kind kind)
{
    return turn->now_ns >= turn->end_ns[kind];
}
bool turn_ends(struct turn *turn, enum turn_kind kind); /* the same, by the clock */

/* Whether the clock is looked at with the next step. */
static inline bool turn_is_due(const struct turn *turn)
{
    return turn->steps + 1 >= turn->most_steps;
}

static inline void turn_step(struct turn *turn)
{
    turn->steps++;
    if (turn->steps >= turn->most_steps)
        turn_look_again(turn);
}

/* ---- input ---- */

/* A connection is going to be read, which is a step, or connections to be accepted. */
static inline void turn_enter(struct turn *turn)
{
    turn->steps++;
    if (turn->steps >= turn->most_steps)
        turn_look_in(turn); /* so it is the first time in a turn */
    turn->entered_ns = turn->now_ns;
    turn->is_spent = false;
}

/* To be asked after each request, frame and the like: whether the connection that is being read has
 * had its share. */
static inline bool turn_spend(struct turn *turn)
{
    turn_step(turn);
    return turn->is_spent;
}

void turn_queue(struct conn *conn); /* at the tail of its kind; it is in no other list */
void turn_weigh(struct conn *conn, bool is_much); /* what it had us do */
void turn_forget(struct conn *conn);
void turn_serve(struct loop *loop); /* the queue, as long as there is time */

#endif
