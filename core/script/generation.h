/* A generation: one Lua state of one worker with the application that was loaded into it. It boots
 * the Lua half (lua/neap/boot.lua), and ends with all its tasks. Its worker owns it. */
#ifndef SCRIPT_GENERATION_H
#define SCRIPT_GENERATION_H

#include "script/settings.h"
#include "script/vm.h"

#include <stdbool.h>

struct generation;

struct generation_options {
    struct vm_options vm;
    int number; /* 1 for the first, grows with each reload */
    int worker; /* 1..workers */
    int workers;
    const char *mode;        /* "run", "exec", ... */
    const char *config_file; /* or NULL */
    const char *environment; /* its block */
    const struct setting *settings;
    size_t setting_count;
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

/* On the worker's thread. What `options` points at must outlive the generation. NULL: out of
 * memory, or neap.core could not be made (logged). */
struct generation *generation_new(const struct generation_options *options);
/* Runs require("neap.boot").main(mode, ...) as a task. on_booted is called once, never from inside.
 */
void generation_boot(struct generation *gen, int argc, char *const *argv,
                     generation_booted_fn on_booted);
void generation_cancel(struct generation *gen); /* cancels every task; each gets the grace for its
                                                   clean-up */
void generation_cut(struct generation *gen);    /* ends every task now */
bool generation_is_idle(const struct generation *gen); /* no task is left */
void generation_free(struct generation *gen);          /* it must be idle */

struct vm *generation_vm(const struct generation *gen);
void *generation_owner(const struct generation *gen);

#endif
