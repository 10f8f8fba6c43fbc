/* The settings after everything was read: checked, completed by what this machine has, printed,
 * handed to Lua. */
#include "config/config.h"

#include "base/mem.h"
#include "base/text.h"
#include "config/settings.h"
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define RESERVED_FILES 100 /* descriptors kept for files, logs and outgoing connections */

#define TASK_THREADS_MIN 4 /* what blocks needs no core */

static uint64_t count_cores(void)
{
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) != 0)
        return 1;
    int count = CPU_COUNT(&cores);
    return count > 256 ? 256 : (uint64_t)count;
}

static uint64_t allowed_connections(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY)
        return UINT32_MAX;
    return files.rlim_cur > 2 * RESERVED_FILES ? files.rlim_cur - RESERVED_FILES
                                               : files.rlim_cur / 2;
}

static int check_address(const char *text, const char *where, struct bytes *error)
{
    struct address addr;
    int err = address_parse(&addr, text);
    if (err == -ENAMETOOLONG)
        return config_refuse(error,
                             "%s: \"%s\" is too long: the path of a socket has at most %zu bytes",
                             where, text, ADDRESS_UNIX_MAX);
    if (err)
        return config_refuse(error,
                             "%s: \"%s\" is not an address: write 127.0.0.1:8080, :8080 for all "
                             "addresses, [::1]:8080 or unix:/run/app.sock",
                             where, text);
    return 0;
}

static int check_listen(const struct config_list *listen, const char *where, struct bytes *error)
{
    for (size_t i = 0; i < listen->count; i++)
        if (check_address(listen->items[i], where, error) != 0)
            return -1;
    return listen->count ? 0 : config_refuse(error, "%s: at least one address is needed", where);
}

/* "10.0.0.0/8", "::1", "unix" */
static bool is_network(const char *text)
{
    char host[64];
    unsigned char addr[16];
    size_t len = strcspn(text, "/");
    uint64_t bits = 0;
    if (strcmp(text, "unix") == 0)
        return true;
    if (len >= sizeof host)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    unsigned most = inet_pton(AF_INET, host, addr) == 1    ? 32
                    : inet_pton(AF_INET6, host, addr) == 1 ? 128
                                                           : 0;
    if (text[len] == '/' && text_parse_uint(text + len + 1, strlen(text + len + 1), &bits))
        return false;
    return most > 0 && bits <= most;
}

static int check_proxies(const struct config_list *proxies, struct bytes *error)
{
    for (size_t i = 0; i < proxies->count; i++)
        if (!is_network(proxies->items[i]))
            return config_refuse(error,
                                 "trusted_proxies: \"%s\" is not an address: write 10.0.0.1, "
                                 "10.0.0.0/8, ::1 or unix",
                                 proxies->items[i]);
    return 0;
}

/* A folder of our own, in what the system empties when it starts. */
static char *default_state(void)
{
    char path[200];
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (runtime && *runtime)
        snprintf(path, sizeof path, "%s/neap", runtime);
    else
        snprintf(path, sizeof path, "/tmp/neap-%u", (unsigned)getuid());
    return mem_strdup(path);
}

int config_finish(struct config *config, struct bytes *error)
{
    if (config->workers == 0)
        config->workers = count_cores();
    if (config->task_threads == 0)
        config->task_threads = count_cores() > TASK_THREADS_MIN ? count_cores() : TASK_THREADS_MIN;
    if (config->limits.connections == 0)
        config->limits.connections = allowed_connections();
    if (config->state[0] == '\0') {
        mem_free(config->state);
        config->state = default_state();
    }
    if (config->limits.header_line > config->limits.header_bytes)
        config->limits.header_line = config->limits.header_bytes;
    if (check_listen(&config->listen, config->sources[0], error) ||
        check_proxies(&config->trusted_proxies, error))
        return -1;
    return 0;
}

void config_print(const struct config *config)
{
    struct bytes value;
    bytes_init(&value);
    printf("# environment %s, %s\n", config->environment,
           config->file ? config->file : "no config.lua");
    for (size_t i = 0; i < config_key_count; i++) {
        bytes_clear(&value);
        config_show_value(config, &config_keys[i], &value);
        printf("%-24s %-16.*s # %s\n", config_keys[i].name, (int)value.len, value.data,
               config->sources[i]);
    }
    bytes_deinit(&value);
}

static struct setting make_setting(const struct config_key *key, const void *slot)
{
    struct setting setting = {.key = key->name, .type = SETTING_INTEGER};
    switch (key->type) {
    case CONFIG_LIST:
    case CONFIG_SECRETS:
        setting.type = SETTING_LIST;
        setting.items = ((const struct config_list *)slot)->items;
        setting.count = ((const struct config_list *)slot)->count;
        return setting;
    case CONFIG_TEXT:
        setting.type = SETTING_TEXT;
        setting.text = *(char *const *)slot;
        return setting;
    case CONFIG_BOOL:
        setting.type = SETTING_BOOL;
        setting.number = *(const bool *)slot;
        return setting;
    case CONFIG_CHOICE:
        setting.type = SETTING_TEXT;
        setting.text = key->choices[*(const uint64_t *)slot];
        return setting;
    case CONFIG_DURATION: setting.type = SETTING_SECONDS; break;
    default: break;
    }
    setting.number = *(const uint64_t *)slot;
    return setting;
}

void config_make_settings(struct config *config)
{
    if (!config->settings)
        config->settings = mem_calloc(config_key_count * sizeof *config->settings);
    for (size_t i = 0; i < config_key_count; i++)
        config->settings[i] = make_setting(&config_keys[i], config_at(config, &config_keys[i]));
}
