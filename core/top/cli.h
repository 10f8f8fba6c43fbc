/* The command line: which command, on what, with which settings. Points into argv; plain data. */
#ifndef TOP_CLI_H
#define TOP_CLI_H

#include "config/config.h"

#define EXIT_USAGE 64 /* as in sysexits.h */

enum cli_result {
    CLI_RUN,  /* do what the struct says */
    CLI_DONE, /* help or the version was printed */
    CLI_WRONG /* the mistake was explained on stderr: exit with EXIT_USAGE */
};

struct cli {
    const char *mode;                  /* "run", "dev", "exec", ... */
    bool is_serving;                   /* run, dev: workers and listeners */
    const char *config_file;           /* or NULL */
    struct config_override *overrides; /* owned; the texts belong to argv, or to `port` */
    size_t override_count;
    char **args; /* what is left: the file or folder, then arguments of a script or of busted */
    int arg_count;
    char port[32]; /* the address that --port stands for */
};

enum cli_result cli_parse(struct cli *cli, int argc, char **argv);
void cli_free(struct cli *cli);

#endif
