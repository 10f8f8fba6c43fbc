/* A worker's generations: the one that serves, the one before it while that drains, and the one
 * that is being built. The worker owns it; all functions are for the worker's thread but
 * lineage_watch. */
#ifndef LIFE_LINEAGE_H
#define LIFE_LINEAGE_H

#include "http/http_server.h"
#include "life/ending.h"
#include "life/generation.h"
#include "life/handover.h"
#include "task/watchdog.h"

#include <pthread.h>
#include <stdbool.h>

struct lineage;

/* None is called from inside a lineage_... function, but on_built when memory is out. Texts are
 * valid during the call. */
struct lineage_events {
    /* The next generation is there, or not; in any case it stays until lineage_switch or
     * lineage_discard. */
    void (*on_built)(struct lineage *lineage, const struct generation_result *result);
    void (*on_handed_over)(struct lineage *lineage, const char *error); /* NULL: all went well */
    void (*on_discarded)(struct lineage *lineage);
};

struct lineage {
    struct loop *loop;
    struct http_server *http;
    const struct lineage_events *events;
    struct generation_options options; /* for those to come; the owner is set by the lineage */
    int argc;                          /* arguments of the command */
    char *const *argv;

    struct generation *current; /* NULL until the first lineage_switch */
    struct generation *next;    /* NULL: none */
    struct ending draining;     /* of the one before the current one */
    struct ending discarded;    /* of one that never served */
    bool must_build;            /* as soon as nothing drains any more */
    bool is_discarding;
    bool is_handing_over;
    bool is_waiting; /* the current one is ready, once the one before has stopped its jobs */
    struct handover handover;
    struct loop_job discard_job; /* the end of what needed no ending */
    struct loop_job build_job;   /* what must be built, now that nothing drains */

    /* Guards `watched`: the main thread looks at states that this thread frees. */
    pthread_mutex_t watch_lock;
    struct vm *watched[4];
};

/* The caller has set what is above the blank line. */
void lineage_init(struct lineage *lineage, const struct ending_times *times);
void lineage_set_times(struct lineage *lineage, const struct ending_times *times);
void lineage_close(struct lineage *lineage);  /* it must be settled, all requests over */
void lineage_deinit(struct lineage *lineage); /* after the last lineage_watch */

/* Builds generation `number` beside the one that serves, if any, after hurrying one that still
 * drains. */
void lineage_build(struct lineage *lineage, int number);
void lineage_hand_over(struct lineage *lineage); /* the hooks of both */
void lineage_switch(struct lineage *lineage);    /* the next one serves from here on */
void lineage_discard(struct lineage *lineage);   /* gives the next one up, whatever it does */

/* The one that the worker starts and stops: the current one or, before, the first that is built. */
struct generation *lineage_main(const struct lineage *lineage);
/* The worker is going to stop: the current one will not become ready any more. */
void lineage_retire(struct lineage *lineage);
/* The worker stops: all others have no more time. */
void lineage_hurry(struct lineage *lineage);
void lineage_cut(struct lineage *lineage);              /* they end now, but clean-ups */
void lineage_force(struct lineage *lineage);            /* those, too */
bool lineage_is_settled(const struct lineage *lineage); /* there are no others */

void lineage_watch(struct lineage *lineage); /* any thread, every WATCHDOG_TICK_MS */
/* Any thread: what runs there now and is late, see watchdog_write_late. */
void lineage_write_busy(struct lineage *lineage, char name[WATCH_NAME_SIZE]);

#endif
