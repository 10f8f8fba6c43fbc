/* A generation: one Lua state of one worker with the application that was loaded into it. It boots
 * the Lua half (lua/neap/life/boot.lua), and ends with all its tasks. Its worker owns it. */
#ifndef LIFE_GENERATION_H
#define LIFE_GENERATION_H

#include "config/settings.h"
#include "task/vm.h"

#include <stdbool.h>

struct generation;
struct http_server;

struct generation_options {
    struct vm_options vm;
    int number; /* 1 for the first, grows with each reload */
    int worker; /* 1..workers */
    int workers;
    const char *mode; /* "run", "exec", ... */
    /* Only generation_new reads these: */
    const char *config_file; /* or NULL */
    const char *environment; /* its block */
    const struct setting *settings;
    size_t setting_count;
    void (*on_stop_wanted)(struct generation *gen, int exit_code); /* core.stop was called */
    /* Nearly all tasks fail for lack of memory; called again and again. NULL: of no interest. */
    void (*on_shortage)(struct generation *gen);
    void *owner;
};

enum generation_outcome {
    GENERATION_SERVE,    /* an application was installed: serve it */
    GENERATION_DONE,     /* the script ended, with exit_code */
    GENERATION_FAILED,   /* could not start: exit_code, and `message` says why */
    GENERATION_CANCELLED /* by generation_cancel, before it was through */
};

struct generation_result {
    enum generation_outcome outcome;
    int exit_code;
    const char *message; /* whole lines for stderr, or NULL; valid during the call */
};

typedef void (*generation_booted_fn)(struct generation *gen,
                                     const struct generation_result *result);

/* What follows on booting, in this order. */
enum generation_phase {
    GENERATION_READY,    /* it answers requests: on_ready hooks, jobs start */
    GENERATION_SHUTDOWN, /* it will end, connections are still alive: on_shutdown hooks */
    GENERATION_CLEANUP   /* nothing runs any more: the stack of clean-ups */
};

typedef void (*generation_phase_fn)(struct generation *gen, enum generation_phase phase,
                                    bool is_clean);

/* On the worker's thread. What `options` points at must outlive the generation, but for the
 * settings. NULL: out of memory, or neap.core could not be made (logged). */
struct generation *generation_new(const struct generation_options *options);
/* Runs require("neap.life.boot").main(mode, ...) as a task. on_booted is called once, never from
 * inside. */
void generation_boot(struct generation *gen, int argc, char *const *argv,
                     generation_booted_fn on_booted);
/* Runs a phase as a task; `reason` (static) is "shutdown" or "reload". on_done is called once,
 * never from inside; not clean: a hook failed, or was cancelled. An earlier phase that is still
 * under way is cancelled first. Of phases that wait for that only the latest happens. Every
 * generation that was booted needs the clean-up, also when booting failed. */
void generation_run_phase(struct generation *gen, enum generation_phase phase, const char *reason,
                          generation_phase_fn on_done);
/* Cancels every task; each gets the grace for its clean-up. Without effect during the phase
 * GENERATION_CLEANUP. */
void generation_cancel(struct generation *gen);
void generation_cut(struct generation *gen, struct http_server *http); /* ends every task now */
/* After generation_cut, perhaps again and again: takes requests and WebSockets away that are left,
 * which have gone one of the next turns. */
void generation_take(struct generation *gen, struct http_server *http);
/* Logs "generation N WHAT", and under it all that it still has. */
void generation_log_remains(const struct generation *gen, const struct http_server *http,
                            const char *what);
bool generation_is_idle(const struct generation *gen); /* no task is left */
/* A handler, a callback of a WebSocket or a req:after is under way: what a drain waits for. Tasks
 * of the application itself need not end. */
bool generation_has_callbacks(const struct generation *gen);
/* ... or a request, or a WebSocket, belongs to it. */
bool generation_has_clients(const struct generation *gen);
void generation_free(struct generation *gen); /* it must be idle */

int generation_number(const struct generation *gen);
struct vm *generation_vm(const struct generation *gen);
void *generation_owner(const struct generation *gen);

/* For the bindings of phase.c. */
struct phases;
struct phases *generation_phases(struct generation *gen);
void generation_want_stop(struct generation *gen, int exit_code);

#endif
