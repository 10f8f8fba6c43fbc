/* What a worker is made of, for the files about it: worker.c is its thread, worker_orders.c what it
 * is told and tells, worker_stop.c how it ends. */
#ifndef TOP_WORKER_STATE_H
#define TOP_WORKER_STATE_H

#include "base/slots.h"
#include "http/http_server.h"
#include "life/lineage.h"
#include "net/listener.h"
#include "top/stand_in.h"
#include "top/worker.h"

#include <pthread.h>

enum worker_phase {
    PHASE_BOOTING,
    PHASE_READY,
    PHASE_SERVING,
    PHASE_NOTIFYING,  /* on_shutdown hooks, connections are alive */
    PHASE_DRAINING,   /* requests under way end */
    PHASE_CANCELLING, /* tasks end */
    PHASE_CLOSING,    /* connections close */
    PHASE_CLEANING,   /* the application's clean-ups */
    PHASE_LEAVING,    /* what these left behind ends */
    PHASE_ENDED
};

struct order {
    struct loop_message message;
    struct worker *worker;
    enum worker_order order;
    bool is_given;              /* main thread */
    struct loop_message answer; /* to one of a reload */
    char *error;                /* the answer's, owned */
};

struct report {
    struct loop_message message;
    struct worker *worker;
};

struct worker {
    struct outlet *outlet;   /* its side of all topics */
    struct slots websockets; /* of all its generations, for handles */
    struct worker_options options;
    const struct config *config; /* in effect */
    struct loop loop;
    pthread_t thread;
    enum worker_phase phase;
    struct lineage lineage;
    struct http_server http;
    struct listener *listeners; /* one per address while serving */
    struct stand_ins stand_ins; /* at other workers' doors */
    struct deadline look;       /* while stopping */
    uint64_t force_ms;          /* from then on nothing is waited for; 0: not yet known */
    struct order orders[WORKER_ORDERS];
    int build_number;                  /* for WORKER_BUILD */
    const struct config *build_config; /* and from WORKER_SWITCH on */
    struct report booted;
    struct report serving;
    struct report stop_wanted;
    struct report stopped;
    bool is_stop_wanted; /* reported once */
    int wanted_exit;
    bool is_unclean;                 /* hooks have failed */
    struct generation_result result; /* of the boot; the message is owned */
    int serving_err;
};

/* Its lineage is the owner of its generations. */
static inline struct worker *worker_of(struct lineage *lineage)
{
    return container_of(lineage, struct worker, lineage);
}
/* What starts and stops with the worker. */
static inline struct generation *worker_main_of(const struct worker *worker)
{
    return lineage_main(&worker->lineage);
}

/* worker.c: */
void worker_begin_serving(struct worker *worker);
/* For the generations that are built from now on. */
void worker_set_generation_options(struct worker *worker, const struct config *config);
void worker_use_config(struct worker *worker, const struct config *config);

/* worker_orders.c: */
void worker_orders_init(struct worker *worker);
void worker_report(struct worker *worker, struct report *report);
void worker_report_shortage(struct worker *worker);
/* To an order of a reload: NULL, or why it was not done. */
void worker_answer(struct worker *worker, enum worker_order order, const char *error);

/* worker_stop.c: each step leads to the next, and an order can skip some. */
void worker_stop_drain(struct worker *worker);
void worker_stop_cancel(struct worker *worker);
void worker_stop_cut(struct worker *worker);
void worker_stop_force(struct worker *worker);
void worker_stop_on_look(struct deadline *deadline);

#endif
