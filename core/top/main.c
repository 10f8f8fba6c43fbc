/* neap: where the process begins and ends. Puts the process in order, reads the command line and
 * the settings, and hands over to the server. */
#include "base/die.h"
#include "base/log.h"
#include "config/config.h"
#include "net/lookup.h"
#include "net/work.h"
#include "push/push.h"
#include "top/cli.h"
#include "top/server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* With 0, 1 or 2 closed, a socket would get that number, and a stray print would reach a client. */
static void open_standard_files(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
            die("file descriptor %d is closed, and /dev/null cannot be opened: %s", fd,
                strerror(errno));
}

static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max)
        return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files); /* as it was will do, too */
}

static void find_exe(char *path, size_t size)
{
    ssize_t len = readlink("/proc/self/exe", path, size - 1);
    path[len > 0 ? len : 0] = '\0';
}

static bool holds_neap(const char *dir)
{
    char file[PATH_MAX + 32];
    snprintf(file, sizeof file, "%s/neap/life/boot.lua", dir);
    return access(file, R_OK) == 0;
}

/* The folder of neap's Lua half: in a checkout ../lua beside the build folder, which may lie in
 * another for each -D, installed ../share/neap/lua. */
static int find_lua_dir(const char *exe, char *dir, size_t size)
{
    static const char *const places[] = {"../lua", "../share/neap/lua", "../../lua",
                                         "../../../lua"};
    const char *given = getenv("NEAP_LUA_DIR");
    if (given && *given) {
        snprintf(dir, size, "%s", given);
        if (holds_neap(dir))
            return 0;
        fprintf(stderr, "neap: NEAP_LUA_DIR is %s, but there is no neap/life/boot.lua in it\n",
                given);
        return -1;
    }
    const char *slash = strrchr(exe, '/');
    for (size_t i = 0; slash && i < sizeof places / sizeof places[0]; i++) {
        char place[PATH_MAX];
        char real[PATH_MAX];
        int len = snprintf(place, sizeof place, "%.*s/%s", (int)(slash - exe), exe, places[i]);
        if (len >= (int)sizeof place || !realpath(place, real) || !holds_neap(real))
            continue;
        snprintf(dir, size, "%s", real);
        return 0;
    }
    fprintf(stderr,
            "neap: the folder of neap's Lua files was not found beside %s; NEAP_LUA_DIR can name "
            "it\n",
            exe);
    return -1;
}

static void size_thread_pools(const struct config *config)
{
    work_set_threads((unsigned)config->threads);
    lookup_set_threads((unsigned)config->threads);
}

/* A handler that reads it would hold up its worker until somebody types something. */
static void close_input(void)
{
    int fd = open("/dev/null", O_RDONLY);
    if (fd < 0 || dup2(fd, STDIN_FILENO) < 0)
        fprintf(stderr, "neap: cannot open /dev/null: %s\n", strerror(errno));
    if (fd > STDIN_FILENO)
        close(fd);
}

static int main_run(const struct cli *cli, const struct config *config,
                    const struct config_inputs *inputs)
{
    char exe[PATH_MAX];
    char lua_dir[PATH_MAX];
    if (strcmp(cli->mode, "config") == 0) {
        config_print(config);
        return 0;
    }
    find_exe(exe, sizeof exe);
    if (find_lua_dir(exe, lua_dir, sizeof lua_dir) != 0)
        return EXIT_FAILED;
    size_thread_pools(config);
    if (strcmp(cli->mode, "test") == 0)
        setenv("NEAP_BIN", exe, 1); /* specs start servers with it */
    if (cli->is_serving)
        close_input();
    if (cli->is_serving)
        setvbuf(stdout, NULL, _IOLBF, 0); /* who watches a server wants to see its lines */
    push_start();
    log_start((enum log_level)config->log.level, (enum log_format)config->log.format);
    const struct server_options options = {
        .cli = cli, .config = config, .inputs = inputs, .lua_dir = lua_dir};
    int exit_code = server_run(&options);
    log_stop();
    return exit_code;
}

/* A message about the command line begins with its option: "--workers: ..." */
static int explain_config(const struct bytes *error)
{
    fprintf(stderr, "neap: %.*s\n", (int)error->len, error->data);
    return error->len > 0 && error->data[0] == '-' ? EXIT_USAGE : EXIT_FAILED;
}

static int load_and_run(const struct cli *cli)
{
    const struct config_inputs inputs = {.file = cli->config_file,
                                         .mode = cli->mode,
                                         .overrides = cli->overrides,
                                         .override_count = cli->override_count};
    struct config config;
    struct bytes error;
    bytes_init(&error);
    int exit_code = config_load(&config, &inputs, &error) == 0 ? main_run(cli, &config, &inputs)
                                                               : explain_config(&error);
    bytes_deinit(&error);
    config_free(&config);
    return exit_code;
}

int main(int argc, char **argv)
{
    open_standard_files();
    raise_file_limit();
    signal(SIGPIPE, SIG_IGN);

    struct cli cli;
    int exit_code = 0;
    switch (cli_parse(&cli, argc, argv)) {
    case CLI_RUN: exit_code = load_and_run(&cli); break;
    case CLI_DONE: break;
    case CLI_WRONG: exit_code = EXIT_USAGE; break;
    }
    cli_free(&cli);
    return exit_code;
}
