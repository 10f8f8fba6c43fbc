/* What the server is made of, for the files about it: server.c starts it and runs it, server_stop.c
 * ends it, server_control.c answers for it at the control socket. Main thread only. */
#ifndef TOP_SERVER_STATE_H
#define TOP_SERVER_STATE_H

#include "base/quota.h"
#include "config/renewal.h"
#include "dev/develop.h"
#include "net/signals.h"
#include "top/control.h"
#include "top/deaf.h"
#include "top/relief.h"
#include "top/reload.h"
#include "top/server.h"
#include "top/sockets.h"
#include "top/worker.h"

#define SERVER_EXTRA_MS 1000 /* beyond what Lua and the tasks are told, so that they come first */

enum server_stage {
    STAGE_STARTING,
    STAGE_SERVING,
    STAGE_DRAINING,
    STAGE_CANCELLING,
    STAGE_CUTTING,
    STAGE_FORCING
};

struct server {
    struct server_options options;
    const struct config *config; /* in effect */
    struct loop loop;
    struct signals signals;
    enum server_stage stage;
    struct deadline limit; /* of the stage */
    uint64_t stop_by_ms;   /* when timeouts.stop is over; 0 before stopping */
    struct deadline tick;  /* of the watchdog */
    int exit_code;
    bool has_failed; /* and said so */
    int stop_signals;

    struct hub *hub;         /* all topics */
    struct shelf *shelf;     /* all stores */
    struct quota output;     /* limits.output */
    struct quota input;      /* limits.input */
    struct threads *threads; /* for task.thread */
    struct library *library;
    uint64_t swept_ms; /* when topics nobody uses were last looked for */
    struct sockets sockets;
    struct deaf deaf; /* while it serves */
    struct control control;
    struct worker **workers; /* NULL once joined */
    int worker_count;
    int alive;
    int ready;   /* booted, and wait for the others */
    int serving; /* accept connections */
    struct reload reload;
    struct relief relief;
    struct renewal renewal; /* of the settings */
    struct develop develop; /* of `neap dev` */
};

void server_order_all(struct server *server, enum worker_order order);

/* server_stop.c: each stage has its time within timeouts.stop; when that is over the next comes. */
void server_stop_drain(struct server *server);
void server_stop_cancel(struct server *server);
void server_stop_failed(struct server *server, const char *message); /* it could not start */
void server_stop_on_limit(struct deadline *deadline);

/* server_control.c: */
void server_open_control(struct server *server);

#endif
