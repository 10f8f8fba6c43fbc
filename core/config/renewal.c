/* The settings from one reload to the next: see renewal.h. */
#include "config/renewal.h"

#include "base/log.h"
#include "base/mem.h"

#include <string.h>

/* What was built with these outlives every generation: sockets, threads, the log's writer. */
static const char *const fixed[] = {"listen",       "workers",    "threads",
                                    "task_threads", "log.format", "state"};

static bool is_same(const struct bytes *a, const struct bytes *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* Puts the value in effect back, and says so when the new one is another. */
static void renewal_keep(struct renewal *renewal, const struct config_key *key)
{
    struct bytes now, wanted;
    bytes_init(&now);
    bytes_init(&wanted);
    config_show_value(renewal->config, key, &now);
    config_show_value(renewal->next, key, &wanted);
    if (!is_same(&now, &wanted)) {
        bytes_printf(&renewal->notes, "%s: %.*s -> %.*s needs a restart; serving on with the old\n",
                     key->name, (int)now.len, now.data, (int)wanted.len, wanted.data);
        config_copy_value(renewal->next, renewal->config, key);
    }
    bytes_deinit(&now);
    bytes_deinit(&wanted);
}

static void free_config(struct config **config)
{
    if (*config)
        config_free(*config);
    mem_free(*config);
    *config = NULL;
}

const struct config *renewal_begin(struct renewal *renewal, struct bytes *error)
{
    renewal->next = mem_calloc(sizeof *renewal->next);
    bytes_clear(&renewal->notes);
    if (config_load(renewal->next, renewal->inputs, error)) {
        free_config(&renewal->next);
        return NULL;
    }
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        renewal_keep(renewal, config_find(fixed[i]));
    config_make_settings(renewal->next);
    return renewal->next;
}

static void log_notes(const struct bytes *notes)
{
    for (size_t at = 0; at < notes->len;) {
        const char *line = notes->data + at;
        size_t len = (size_t)((const char *)memchr(line, '\n', notes->len - at) - line);
        log_line(LOG_WARN, line, len, NULL, 0);
        at += len + 1;
    }
}

void renewal_end(struct renewal *renewal, bool serves)
{
    if (!renewal->next)
        return; /* they were wrong */
    if (serves) {
        free_config(&renewal->own);
        renewal->config = renewal->own = renewal->next;
        renewal->next = NULL;
        log_set_level((enum log_level)renewal->config->log.level);
        log_notes(&renewal->notes);
    }
    free_config(&renewal->next);
}

void renewal_init(struct renewal *renewal)
{
    bytes_init(&renewal->notes);
}

void renewal_deinit(struct renewal *renewal)
{
    free_config(&renewal->own);
    free_config(&renewal->next);
    bytes_deinit(&renewal->notes);
}
