/* The server: the main thread's part. Binds the addresses, starts the workers, watches over them,
 * passes signals on to them, and ends when all have stopped. */
#ifndef TOP_SERVER_H
#define TOP_SERVER_H

#include "config/config.h"
#include "top/cli.h"
#include "top/reload.h"

#define EXIT_FAILED 1  /* could not start, or the script failed */
#define EXIT_UNCLEAN 2 /* something was left open at the end */

struct server_options {
    const struct cli *cli;
    const struct config *config;        /* of the start */
    const struct config_inputs *inputs; /* where it came from, for reloads */
    const char *lua_dir;                /* the folder that holds neap/init.lua */
};

struct server;

/* Loads the application again, beside what serves, and lets it take over when it could be loaded.
 * on_done (may be NULL) is told once, perhaps at once. */
void server_reload(struct server *server, reload_done_fn on_done, void *arg);

/* Runs the command until it ends; the exit code. */
int server_run(const struct server_options *options);

#endif
