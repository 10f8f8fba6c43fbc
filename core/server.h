/* The server: the main thread's part. Binds the addresses, starts the workers, watches over them,
 * passes signals on to them, and ends when all have stopped. */
#ifndef SERVER_H
#define SERVER_H

#include "cli.h"
#include "config.h"

#define EXIT_FAILED 1  /* could not start, or the script failed */
#define EXIT_UNCLEAN 2 /* something was left open at the end */

struct server_options {
    const struct cli *cli;
    const struct config *config;
    const char *lua_dir; /* the folder that holds neap/init.lua */
};

/* Runs the command until it ends; the exit code. */
int server_run(const struct server_options *options);

#endif
