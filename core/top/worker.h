/* A worker: one thread with its loop, its generations of the application, its connections. The
 * server starts it, gives it orders, and joins its thread when it has stopped. All functions here
 * are for the main thread. */
#ifndef TOP_WORKER_H
#define TOP_WORKER_H

#include "config/config.h"
#include "life/generation.h"
#include "net/loop.h"

#define WORKER_BUSY_SIZE 64

struct worker;
struct stand_ins;

enum worker_order {
    WORKER_SERVE, /* start accepting; after on_booted said GENERATION_SERVE */
    /* Steps of a reload, each answered by on_step before the next one is given. Only WORKER_DISCARD
     * may be given at any time; what was not answered by then never will be. */
    WORKER_BUILD,     /* load the next generation: worker_build gives it */
    WORKER_HAND_OVER, /* let the hooks of both pass on their data */
    WORKER_SWITCH,    /* the next one serves */
    WORKER_DISCARD,   /* give the next one up */
    /* The end: */
    WORKER_DRAIN,  /* accept what waits, then no more; on_shutdown hooks; let requests end */
    WORKER_CANCEL, /* cancel every task; they get the grace for their clean-up */
    WORKER_CUT,    /* end everything now, except the clean-up, which has its own limit */
    WORKER_FORCE,  /* end that, too, and leave behind what does not end */
    WORKER_ORDERS
};

/* What a worker tells the server, on the main thread. */
struct worker_events {
    void (*on_booted)(struct worker *worker, const struct generation_result *result);
    void (*on_serving)(struct worker *worker, int err); /* it accepts connections, or could not */
    /* It has done what an order of a reload asks for. `error`: whole lines, NULL: all went well. */
    void (*on_step)(struct worker *worker, enum worker_order order, const char *error);
    void (*on_stop_wanted)(struct worker *worker, int exit_code); /* by the application */
    /* Nearly all fails for lack of memory; again and again. */
    void (*on_shortage)(struct worker *worker);
    /* The last call: worker_join may follow. Not clean: a hook of the application failed. */
    void (*on_stopped)(struct worker *worker, bool is_clean);
};

struct worker_options {
    struct generation_options generation; /* what the settings say of it is set by the worker */
    const struct config *config;          /* of the start */
    struct hub *hub;                      /* all topics */
    struct shelf *shelf;                  /* all stores */
    struct quota *output;                 /* for all loops, see net/loop.h */
    struct quota *input;
    int argc; /* arguments of the command */
    char *const *argv;
    /* Sockets, one per address of config->listen, which it takes over; NULL: it does not serve. */
    const int *fds;
    struct loop *main_loop;
    const struct worker_events *events;
    void *owner;
};

/* NULL: no thread or loop (logged). */
struct worker *worker_start(const struct worker_options *options);
/* Each has an effect once, but those of a reload. */
void worker_order(struct worker *worker, enum worker_order order);
/* WORKER_BUILD, with the settings that come into effect by WORKER_SWITCH. They must stay until all
 * workers have switched again or discarded, those of the start until it ends. */
void worker_build(struct worker *worker, int number, const struct config *config);
void worker_watch(struct worker *worker); /* every WATCHDOG_TICK_MS */
/* Accepts connections for another worker that does not answer, until told otherwise: see
 * stand_in.h. */
struct stand_ins *worker_stand_ins(struct worker *worker);
/* What it runs at the moment that does not end, for the log: the name of a task, or "". */
void worker_write_busy(struct worker *worker, char name[WORKER_BUSY_SIZE]);
void worker_join(struct worker *worker); /* after on_stopped; frees it */
void *worker_owner(const struct worker *worker);
struct loop *worker_loop(struct worker *worker); /* for loop_post */
/* On the worker's thread: what serves now; NULL before and after. */
struct vm *worker_vm(const struct worker *worker);
struct vm *worker_old_vm(const struct worker *worker); /* what served before, until it has ended */
int worker_number(const struct worker *worker);        /* from 1 */

#endif
