/* Where the settings come from: the defaults, then config.lua, then the environment, then the
 * command line. */
#include "config/config.h"

#include "base/mem.h"
#include "base/text.h"
#include "config/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENV_PREFIX "NEAP_"

/* Variables of ours that are no settings. */
static const char *const other_variables[] = {"NEAP_ENV", "NEAP_CONFIG", "NEAP_LUA_DIR", "NEAP_BIN",
                                              "NEAP_TEST_RUN"};
static const char *const environments[] = {"development", "production", "test"};
#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

struct loading {
    struct config *config;
    const char *file;
};

/* --- config.lua --- */

static int on_file_value(void *arg, const struct settings_value *value, struct bytes *error)
{
    struct loading *loading = arg;
    char where[300];
    snprintf(where, sizeof where, "%s (%s)", loading->file, value->block);
    return config_set(loading->config, value->key, value->index, value->text, where, error);
}

/* `limits` and `limits.body` both begin a setting. */
static bool begins_setting(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < config_key_count; i++)
        if (strncmp(config_keys[i].name, name, len) == 0 && (config_keys[i].name[len] & ~'.') == 0)
            return true;
    return strcmp(name, "app") == 0;
}

static int on_file_other(void *arg, const char *name, bool is_table, struct bytes *error)
{
    static const char *const blocks[] = {"default", "development", "production", "test"};
    struct loading *loading = arg;
    for (size_t i = 0; i < COUNT_OF(blocks) && is_table; i++)
        if (strcmp(name, blocks[i]) == 0)
            return 0;
    if (begins_setting(name))
        return config_refuse(error,
                             "%s: %s must be inside a block: return { default = { %s = ... } }",
                             loading->file, name, name);
    const char *nearest = text_nearest(name, blocks, COUNT_OF(blocks));
    if (nearest)
        return config_refuse(error, "%s: unknown block %s: did you mean %s?", loading->file, name,
                             nearest);
    if (!is_table)
        return config_refuse(error, "%s: block %s must be a table of settings", loading->file,
                             name);
    return 0; /* a block for another NEAP_ENV, like `staging` */
}

static int load_file(struct config *config, const struct config_inputs *inputs, struct bytes *error)
{
    const char *file = inputs->file ? inputs->file : getenv("NEAP_CONFIG");
    if (!file && access(CONFIG_DEFAULT_FILE, F_OK) != 0)
        return 0;
    struct loading loading = {.config = config, .file = file ? file : CONFIG_DEFAULT_FILE};
    const char *const blocks[] = {"default", config->environment, NULL};
    const struct settings_reader reader = {
        .blocks = blocks, .on_value = on_file_value, .on_other = on_file_other, .arg = &loading};
    config->file = mem_strdup(loading.file);
    return settings_read(loading.file, &reader, error);
}

/* --- the environment --- */

static void variable_name(const char *key, char *buf, size_t size)
{
    snprintf(buf, size, ENV_PREFIX "%s", key);
    for (char *at = buf; *at; at++)
        *at = *at == '.' ? '_' : (char)(*at >= 'a' && *at <= 'z' ? *at - 32 : *at);
}

/* A variable that looks like a misspelt setting is refused; NEAP_SOMETHING_ELSE may be the app's
 * own. */
static int check_variable(const char *name, struct bytes *error)
{
    char names[64][48];
    const char *words[64];
    size_t count = config_key_count < COUNT_OF(words) ? config_key_count : COUNT_OF(words);
    for (size_t i = 0; i < count; i++) {
        variable_name(config_keys[i].name, names[i], sizeof names[i]);
        words[i] = names[i];
        if (strcmp(name, words[i]) == 0)
            return 0;
    }
    for (size_t i = 0; i < COUNT_OF(other_variables); i++)
        if (strcmp(name, other_variables[i]) == 0)
            return 0;
    const char *nearest = text_nearest(name, words, count);
    return nearest ? config_refuse(error, "environment: unknown setting %s: did you mean %s?", name,
                                   nearest)
                   : 0;
}

static int load_environment(struct config *config, struct bytes *error)
{
    char name[64];
    for (size_t i = 0; i < config_key_count; i++) {
        variable_name(config_keys[i].name, name, sizeof name);
        const char *value = getenv(name);
        if (value && config_set(config, config_keys[i].name, 0, value, name, error))
            return -1;
    }
    for (char **entry = environ; *entry; entry++) {
        if (strncmp(*entry, ENV_PREFIX, strlen(ENV_PREFIX)) != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*entry, "="), *entry);
        if (check_variable(name, error))
            return -1;
    }
    return 0;
}

/* --- all of it --- */

static int choose_environment(struct config *config, const char *mode, struct bytes *error)
{
    const char *name = getenv("NEAP_ENV");
    if (name && *name) {
        config->environment = mem_strdup(name);
        const char *nearest = text_nearest(name, environments, COUNT_OF(environments));
        if (nearest && strcmp(nearest, name) != 0)
            return config_refuse(error, "NEAP_ENV: unknown environment %s: did you mean %s?", name,
                                 nearest);
        return 0;
    }
    config->environment = mem_strdup(strcmp(mode, "dev") == 0    ? "development"
                                     : strcmp(mode, "test") == 0 ? "test"
                                                                 : "production");
    return 0;
}

static int load_defaults(struct config *config, const char *mode, struct bytes *error)
{
    for (size_t i = 0; i < config_key_count; i++)
        if (config_set(config, config_keys[i].name, 0, config_keys[i].fallback, "default", error))
            return -1;
    if (strcmp(mode, "dev") == 0)
        return config_set(config, "log.access", 0, "true", "default of neap dev", error);
    /* Nobody waits for a spec, and a busy machine can make it take long. */
    if (strcmp(mode, "test") == 0 &&
        (config_set(config, "watchdog.log", 0, "2s", "default of neap test", error) ||
         config_set(config, "watchdog.raise", 0, "60s", "default of neap test", error)))
        return -1;
    return 0;
}

/* --listen may be given several times: each adds to the list that the first began. */
static int load_overrides(struct config *config, const struct config_inputs *inputs,
                          struct bytes *error)
{
    int listens = 0;
    for (size_t i = 0; i < inputs->override_count; i++) {
        const struct config_override *given = &inputs->overrides[i];
        int index = strcmp(given->key, "listen") == 0 ? ++listens : 0;
        if (config_set(config, given->key, index, given->value, given->option, error))
            return -1;
    }
    return 0;
}

int config_load(struct config *config, const struct config_inputs *inputs, struct bytes *error)
{
    memset(config, 0, sizeof *config);
    config->sources = mem_calloc(config_key_count * sizeof *config->sources);
    if (load_defaults(config, inputs->mode, error) ||
        choose_environment(config, inputs->mode, error) || load_file(config, inputs, error) ||
        load_environment(config, error) || load_overrides(config, inputs, error))
        return -1;
    if (config_finish(config, error))
        return -1;
    config_make_settings(config);
    return 0;
}

void config_free(struct config *config)
{
    for (size_t i = 0; i < config_key_count; i++) {
        if (config_keys[i].type == CONFIG_LIST || config_keys[i].type == CONFIG_SECRETS)
            config_list_clear((struct config_list *)((char *)config + config_keys[i].offset));
        if (config->sources)
            mem_free(config->sources[i]);
    }
    mem_free(config->sources);
    mem_free(config->settings);
    mem_free(config->state);
    mem_free(config->file);
    mem_free(config->environment);
}
