/* A reload, as the main thread sees it: every worker builds the next generation, all hand over, all
 * switch; when one of them fails, all discard it and the old one serves on. The server owns it and
 * passes on what the workers report.
 *
 * What is new is tried in one worker first. Code that is loaded or handed over to may hold up its
 * thread, for ever maybe, and nothing can stop one call of C; so the others go on serving, and take
 * a step only after the first has come through it. Nobody waits for a worker that is held up: a
 * step has a limited time, and whoever wants the next reload meanwhile is told who is in its
 * way. */
#ifndef TOP_RELOAD_H
#define TOP_RELOAD_H

#include "base/bytes.h"
#include "base/list.h"
#include "net/loop.h"
#include "top/worker.h"

#include <stdbool.h>

struct reload_answer;

/* `error`: whole lines for people, NULL when the new generation serves. Valid during the call. */
typedef void (*reload_done_fn)(void *arg, int generation, const char *error);

enum reload_state {
    RELOAD_IDLE,
    RELOAD_BUILDING,
    RELOAD_HANDING_OVER,
    RELOAD_SWITCHING,
    RELOAD_DISCARDING,
    RELOAD_STOPPED /* the server stops: no more of it */
};

/* What the server does for it. */
struct reload_events {
    /* The settings for what is about to be built; NULL, with the reason in `error`: it fails. */
    const struct config *(*on_begin)(void *owner, struct bytes *error);
    void (*on_end)(void *owner, bool serves); /* before those who wait are told */
};

struct reload {
    struct loop *loop;
    const struct reload_events *events;
    void *owner;
    struct worker *const *workers;
    int worker_count;

    enum reload_state state;
    int serving; /* number of the generation that serves */
    int last;    /* the highest number given so far */
    int ordered; /* so many workers, from the first on, have been given the step under way */
    struct reload_answer *answers; /* of each to that step; owned */
    const struct config *config;   /* to build with */
    char *error;                   /* why it is being discarded, owned */
    uint64_t began_ms;
    struct deadline limit; /* of the step */
    struct list wishes;    /* who waits for the one under way ... */
    struct list pending;   /* ... and who came meanwhile: for the next one */
};

/* The caller has set what is above the blank line. */
void reload_init(struct reload *reload);
void reload_deinit(struct reload *reload);
/* Reloads, after one that is under way. on_done (may be NULL) is called once, perhaps from inside:
 * when the settings are wrong or the server stops. */
void reload_start(struct reload *reload, reload_done_fn on_done, void *arg);
/* What is being built is out of date: gives it up, if it is still being built, for the next. */
void reload_restart(struct reload *reload);
void reload_on_step(struct reload *reload, const struct worker *worker, enum worker_order order,
                    const char *error);
void reload_stop(struct reload *reload); /* the server stops */

#endif
