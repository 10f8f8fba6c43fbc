/* Stand-ins: a worker also accepts at the door of another one that does not answer, by duplicates
 * of its sockets. Both have the same queue of connections, so nobody in it is lost, whoever takes
 * them, and the other one finds what is left when it comes back. Its worker owns this; on that
 * worker's thread, but for what is marked. */
#ifndef TOP_STAND_IN_H
#define TOP_STAND_IN_H

#include "base/list.h"
#include "net/listener.h"

#include <stdbool.h>

struct stand_ins {
    void (*prepare)(struct listener *listener); /* sets its callbacks */

    struct loop *loop;
    struct list open;
    bool is_over; /* the worker stops: no more of it */
};

/* The caller has set what is above the blank line. Any thread, before all else. */
void stand_ins_init(struct stand_ins *all, struct loop *loop);
/* From the main thread: begins to accept for worker `number` at `fds`, which it takes over ... */
void stand_ins_begin(struct stand_ins *all, int number, const int *fds, int count);
/* ... and leaves them to that worker again. No effect when it does not stand in for it. */
void stand_ins_end(struct stand_ins *all, int number);
/* The worker stops: what waits at those doors is accepted first. */
void stand_ins_stop(struct stand_ins *all);

#endif
