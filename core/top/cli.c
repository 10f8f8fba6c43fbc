/* Reads the command line. The two tables say what exists: a new command or option is a new line in
 * them, and shows in the help by itself. */
#include "top/cli.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#ifndef NEAP_VERSION
#define NEAP_VERSION "unknown"
#endif

enum { FOR_CONFIG = 1, FOR_LISTEN = 2 }; /* groups of options */
enum args { ARGS_NONE, ARGS_NAME, ARGS_APP, ARGS_SCRIPT, ARGS_TEST, ARGS_CONTROL };

struct command {
    const char *name;
    enum args args;
    unsigned groups;
    const char *usage;
    const char *summary;
    const char *help;
};

static const char app_help[] =
    "  FILE           a Lua file that returns an app\n"
    "  DIR            a folder with app.lua or controllers/, or one whose subfolders are\n"
    "                 such apps: each is served at /<name>, and / is `welcome`\n"
    "  Without either, the folder apps/ is meant.\n";

static const char pid_help[] =
    "  --pid PID      which server; default: the only one, or the only one of this folder\n";

static const struct command commands[] = {
    {"run", ARGS_APP, FOR_CONFIG | FOR_LISTEN, "[options] [FILE|DIR]", "serve an application",
     app_help},
    {"dev", ARGS_APP, FOR_CONFIG | FOR_LISTEN, "[options] [FILE|DIR]",
     "serve while you work on it: reloads what you save, error pages, access log", app_help},
    {"exec", ARGS_SCRIPT, FOR_CONFIG, "[options] FILE [argument ...]", "run a script until it ends",
     "  The script may use everything of neap and wait anywhere; `arg` holds its arguments.\n"
     "  What it returns is the exit code: nothing or true for 0, false for 1, or a number.\n"},
    {"check", ARGS_APP, FOR_CONFIG, "[options] [FILE|DIR]",
     "load an application without serving it", app_help},
    {"routes", ARGS_APP, FOR_CONFIG, "[options] [FILE|DIR]",
     "list the routes and where they are defined", app_help},
    {"test", ARGS_TEST, 0,
     "[FILE|DIR ...] [--filter=PATTERN] [--tags=A,B] [--jobs=N] [--timeout=T]",
     "run the specs (busted); they may wait anywhere",
     "  FILE|DIR       specs; in folders all files *_spec.lua (default: spec, apps/*/spec)\n"
     "  --filter=P     only those whose name matches the Lua pattern P\n"
     "  --tags=A,B     only those tagged #A or #B\n"
     "  --jobs=N       run up to N spec files side by side (default: 1), each in a process of its\n"
     "                 own: where they do not share a database, a port or files. One with the\n"
     "                 line `-- alone: WHY` at its top runs after the others, by itself\n"
     "  --timeout=T    no test may take longer (default: 180s)\n"
     "  The last line on stdout is: N passed, N failed, N skipped\n"},
    {"reload", ARGS_CONTROL, FOR_CONFIG, "[--pid PID]",
     "load the application of a running server again, and say what came of it", pid_help},
    {"ps", ARGS_CONTROL, FOR_CONFIG, "[--pid PID]", "list the tasks of a running server", pid_help},
    {"topics", ARGS_CONTROL, FOR_CONFIG, "[--pid PID]", "list the topics of a running server",
     pid_help},
    {"jobs", ARGS_CONTROL, FOR_CONFIG, "[--pid PID] [run|pause|resume NAME]",
     "list the background jobs of a running server, or tell one what to do", pid_help},
    {"errors", ARGS_CONTROL, FOR_CONFIG, "[--pid PID] [ID]",
     "list what failed lately in a running server, or show one", pid_help},
    {"config", ARGS_NONE, FOR_CONFIG | FOR_LISTEN, "[options]",
     "print the settings and where each came from", ""},
    {"new", ARGS_NAME, 0, "NAME", "make an application to begin with, in apps/NAME", ""},
    {"types", ARGS_NONE, 0, "", "write .luarc.json, so that editors know neap's types", ""},
};

struct option {
    const char *name;
    const char *value; /* what follows, for the help */
    const char *key;   /* the setting, or NULL: handled by name */
    unsigned group;
    const char *help;
};

static const struct option options[] = {
    {"--listen", "ADDRESS", "listen", FOR_LISTEN,
     "HOST:PORT, :PORT or unix:PATH; may be given several times"},
    {"--port", "N", NULL, FOR_LISTEN, "short for --listen 127.0.0.1:N; 0 takes any free port"},
    {"--workers", "N", "workers", FOR_LISTEN, "threads that serve (default: one per core)"},
    {"--config", "FILE", NULL, FOR_CONFIG, "settings (default: config.lua, when there is one)"},
    {"--set", "KEY=VALUE", NULL, FOR_CONFIG,
     "any setting: --set limits.body=2MB; `neap config` lists them"},
};

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* --- help --- */

static void print_usage(FILE *out)
{
    fprintf(out, "usage: neap COMMAND [options] [arguments]\n\n");
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\n`neap COMMAND -h` tells more about one of them, `neap --version` which neap "
                 "this is.\n");
}

static void print_help(const struct command *command)
{
    printf("usage: neap %s %s\n\n%s.\n\n%s", command->name, command->usage, command->summary,
           command->help);
    if (command->groups)
        printf("\noptions:\n");
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        if (!(options[i].group & command->groups))
            continue;
        char left[32];
        snprintf(left, sizeof left, "%s %s", options[i].name, options[i].value);
        printf("  %-20s %s\n", left, options[i].help);
    }
}

/* "neap: unknown option --wrokers: did you mean --workers?" */
static enum cli_result explain_unknown(const char *kind, const char *word, const char *const *words,
                                       size_t count)
{
    const char *nearest = text_nearest(word, words, count);
    if (nearest)
        fprintf(stderr, "neap: unknown %s %s: did you mean %s?\n", kind, word, nearest);
    else
        fprintf(stderr, "neap: unknown %s %s; `neap -h` lists what there is\n", kind, word);
    return CLI_WRONG;
}

/* --- options --- */

static void add_override(struct cli *cli, const char *key, const char *value, const char *option)
{
    cli->overrides =
        mem_realloc(cli->overrides, (cli->override_count + 1) * sizeof *cli->overrides);
    cli->overrides[cli->override_count++] =
        (struct config_override){.key = key, .value = value, .option = option};
}

static enum cli_result explain_value(const struct option *option, const char *why)
{
    fprintf(stderr, "neap: %s %s: %s\n", option->name, option->value, why);
    return CLI_WRONG;
}

static enum cli_result take_port(struct cli *cli, const struct option *option, const char *value)
{
    uint64_t port;
    if (text_parse_uint(value, strlen(value), &port) || port > 65535)
        return explain_value(option, "expected a number from 0 to 65535");
    if (cli->port[0])
        return explain_value(option, "was given twice; use --listen for a second address");
    snprintf(cli->port, sizeof cli->port, "127.0.0.1:%u", (unsigned)port);
    add_override(cli, "listen", cli->port, option->name);
    return CLI_RUN;
}

/* KEY=VALUE is cut in two where it stands. */
static enum cli_result take_set(struct cli *cli, const struct option *option, char *value)
{
    char *equals = strchr(value, '=');
    if (!equals)
        return explain_value(option, "expected KEY=VALUE, like limits.body=2MB");
    *equals = '\0';
    add_override(cli, value, equals + 1, option->name);
    return CLI_RUN;
}

static enum cli_result take_value(struct cli *cli, const struct option *option, char *value)
{
    if (option->key)
        add_override(cli, option->key, value, option->name);
    else if (strcmp(option->name, "--port") == 0)
        return take_port(cli, option, value);
    else if (strcmp(option->name, "--set") == 0)
        return take_set(cli, option, value);
    else
        cli->config_file = value;
    return CLI_RUN;
}

static const struct option *find_option(const struct command *command, const char *word, size_t len)
{
    for (size_t i = 0; i < COUNT_OF(options); i++)
        if ((options[i].group & command->groups) && strlen(options[i].name) == len &&
            memcmp(options[i].name, word, len) == 0)
            return &options[i];
    return NULL;
}

static enum cli_result explain_option(const struct command *command, const char *word, size_t len)
{
    const char *names[COUNT_OF(options) + 1];
    char *name = mem_strndup(word, len);
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(options); i++)
        if (options[i].group & command->groups)
            names[count++] = options[i].name;
    names[count++] = "--help";
    explain_unknown("option", name, names, count);
    mem_free(name);
    return CLI_WRONG;
}

/* The option at `argv[*at]`, written "--name value" or "--name=value". */
static enum cli_result take_option(struct cli *cli, const struct command *command, char **argv,
                                   int *at)
{
    char *word = argv[*at];
    size_t len = strcspn(word, "=");
    const struct option *option = find_option(command, word, len);
    if (!option)
        return explain_option(command, word, len);
    if (word[len] == '=')
        return take_value(cli, option, word + len + 1);
    if (!argv[*at + 1])
        return explain_value(option, "the value is missing");
    return take_value(cli, option, argv[++*at]);
}

/* --- commands --- */

static bool is_help(const char *word)
{
    return strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0;
}

/* What is asked when the one argument is missing that there has to be; NULL: there may be none. */
static const char *question_of(enum args args)
{
    return args == ARGS_SCRIPT ? "which script?" : args == ARGS_NAME ? "which name?" : NULL;
}

static int most_args(const struct cli *cli, enum args args)
{
    switch (args) {
    case ARGS_NONE: return 0;
    case ARGS_NAME:
    case ARGS_APP: return 1;
    default: return cli->arg_count;
    }
}

static enum cli_result check_args(const struct cli *cli, const struct command *command)
{
    const char *question = question_of(command->args);
    if (question && cli->arg_count == 0) {
        fprintf(stderr, "neap: %s usage: neap %s %s\n", question, command->name, command->usage);
        return CLI_WRONG;
    }
    int most = most_args(cli, command->args);
    if (cli->arg_count <= most)
        return CLI_RUN;
    fprintf(stderr, "neap: unexpected argument %s; usage: neap %s %s\n", cli->args[most],
            command->name, command->usage);
    return CLI_WRONG;
}

/* Options that the Lua side of the command reads. */
static bool is_for_lua(const struct command *command, const char *word)
{
    if (command->args == ARGS_CONTROL)
        return strncmp(word, "--pid", 5) == 0;
    return command->args == ARGS_TEST && !is_help(word);
}

/* Reads what follows the command. Arguments that are not ours are moved to the front of `argv`. */
static enum cli_result parse_command(struct cli *cli, const struct command *command, char **argv)
{
    cli->mode = command->name;
    cli->is_serving = strcmp(command->name, "run") == 0 || strcmp(command->name, "dev") == 0;
    cli->args = argv;
    for (int i = 0; argv[i]; i++) {
        /* After FILE all is the script's. */
        bool is_ours = command->args != ARGS_SCRIPT || cli->arg_count == 0;
        bool is_plain = argv[i][0] != '-' || is_for_lua(command, argv[i]);
        if (is_ours && is_help(argv[i])) {
            print_help(command);
            return CLI_DONE;
        }
        if (is_plain || !is_ours) {
            cli->args[cli->arg_count++] = argv[i];
            continue;
        }
        enum cli_result result = take_option(cli, command, argv, &i);
        if (result != CLI_RUN)
            return result;
    }
    return check_args(cli, command);
}

static enum cli_result explain_command(const char *word)
{
    const char *names[COUNT_OF(commands)];
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        names[i] = commands[i].name;
    if (word[0] != '-')
        return explain_unknown("command", word, names, COUNT_OF(names));
    static const char *const flags[] = {"--help", "--version"};
    return explain_unknown("option", word, flags, COUNT_OF(flags));
}

enum cli_result cli_parse(struct cli *cli, int argc, char **argv)
{
    *cli = (struct cli){0};
    if (argc < 2) {
        print_usage(stderr);
        return CLI_WRONG;
    }
    if (is_help(argv[1])) {
        print_usage(stdout);
        return CLI_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("neap %s\n", NEAP_VERSION);
        return CLI_DONE;
    }
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return parse_command(cli, &commands[i], argv + 2);
    return explain_command(argv[1]);
}

void cli_free(struct cli *cli)
{
    mem_free(cli->overrides);
}
