/* The settings: one table (config_schema.c) names every key, its type, default and meaning; values
 * come from the defaults, config.lua, the environment and the command line, each above the one
 * before. Once filled they never change: a reload fills another set (renewal.h). */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/bytes.h"
#include "base/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_DEFAULT_FILE "config.lua" /* of the current folder */

struct setting;

struct config_list {
    char **items; /* owned */
    size_t count;
};

/* All durations are milliseconds, all sizes bytes. */
struct config {
    struct config_list listen;
    uint64_t workers; /* at least 1 after config_finish */
    uint64_t threads;
    uint64_t task_threads; /* at least 1 after config_finish */
    struct {
        uint64_t header_bytes;
        uint64_t header_line;
        uint64_t headers;
        uint64_t uri;
        uint64_t body;
        uint64_t body_rate;
        uint64_t fields;
        uint64_t parts;
        uint64_t chunk_extensions;
        uint64_t connections; /* in the whole process; not 0 after config_finish */
        uint64_t output;
        uint64_t input;
        uint64_t memory;
        uint64_t stores;
        uint64_t topics;
        uint64_t topic_count;
    } limits;
    struct {
        uint64_t underscores; /* enum header_underscores */
    } headers;
    struct {
        uint64_t header;
        uint64_t idle;
        uint64_t write;
        uint64_t body_window;
        uint64_t startup;
        uint64_t drain;
        uint64_t grace;
        uint64_t stop;
        uint64_t linger;
    } timeouts;
    struct {
        uint64_t log;
        uint64_t raise;
        uint64_t thread;
    } watchdog;
    struct {
        uint64_t level;  /* enum log_level */
        uint64_t format; /* enum log_format */
        bool access;
    } log;
    struct {
        bool enabled;
        uint64_t min;
    } compress;
    struct config_list trusted_proxies;
    struct config_list secrets;
    char *state; /* owned; the folder of the control socket */

    char *file;        /* the config.lua that was read, or NULL */
    char *environment; /* which block of it applies besides `default` */
    char **sources;    /* for each key of the schema, where its value came from */
    /* The effective values for Lua, config_key_count of them; they point into this. */
    struct setting *settings;
};

enum config_type {
    CONFIG_COUNT,    /* uint64_t */
    CONFIG_SIZE,     /* uint64_t, bytes */
    CONFIG_DURATION, /* uint64_t, milliseconds */
    CONFIG_BOOL,     /* bool */
    CONFIG_CHOICE,   /* uint64_t, index into the words of `choices` */
    CONFIG_TEXT,     /* char *, owned */
    CONFIG_LIST,     /* struct config_list */
    CONFIG_SECRETS   /* struct config_list that is never shown */
};

struct config_key {
    const char *name;
    enum config_type type;
    const char *fallback; /* the default, as text */
    size_t offset;        /* in struct config */
    const char *doc;
    const char *const *choices; /* CONFIG_CHOICE: NULL at the end */
    uint64_t min;               /* for counts and sizes; max 0: none */
    uint64_t max;
};

extern const struct config_key config_keys[];
extern const size_t config_key_count;

/* A value of the command line: `--set limits.body=2MB`, `--workers 2`. */
struct config_override {
    const char *key;
    const char *value;
    const char *option; /* "--workers", for messages */
};

struct config_inputs {
    const char *file; /* --config, or NULL: config.lua of the current folder if there is one */
    const char *mode; /* "run", "dev", ... chooses the block */
    const struct config_override *overrides;
    size_t override_count;
};

/* 0, or -1 with a full sentence in `error`. */
int config_load(struct config *config, const struct config_inputs *inputs, struct bytes *error);
void config_free(struct config *config);

/* Sets one value from text. `index` 0: the whole value (a list is split at commas); 1, 2...: one
 * more list item. `where` ("config.lua", "NEAP_WORKERS") begins the message and is kept as the
 * source. */
int config_set(struct config *config, const char *name, int index, const char *value,
               const char *where, struct bytes *error);
/* Appends " (did you mean limits.body?)" or nothing. */
void config_suggest(const char *name, struct bytes *text);

void config_show_value(const struct config *config, const struct config_key *key,
                       struct bytes *text);
void config_print(const struct config *config); /* what `neap config` writes to stdout */

/* For config*.c and renewal.c. */
const struct config_key *config_find(const char *name); /* NULL: there is none */
void config_copy_value(struct config *to, const struct config *from, const struct config_key *key);
void config_make_settings(struct config *config);

/* For config*.c: resolves "0 = as many as" values and checks addresses; an error as above. */
int config_finish(struct config *config, struct bytes *error);
int config_refuse(struct bytes *error, const char *format, ...)
    __attribute__((format(printf, 2, 3))); /* -1 */
void config_list_clear(struct config_list *list);

static inline const void *config_at(const struct config *config, const struct config_key *key)
{
    return (const char *)config + key->offset;
}

#endif
