/* What `neap dev` adds to a server: see develop.h. */
#include "dev/develop.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/quote.h"
#include "live/shelf.h"
#include "value/value.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NAME "neap.dev"
#define FILES_NAME "neap.dev.files"
#define SETTLE_MS 30   /* after the first of several changes */
#define MISSING_MS 500 /* while the folder is not there */
#define LEARN_MS 300   /* between two looks for modules that a handler has required by now */
#define DEFAULT_DIR "apps"

/* ---- what is elsewhere ---- */

void develop_learn(struct develop *develop)
{
    struct bytes names, path;
    if (!develop->topic)
        return;
    bytes_init(&names);
    bytes_init(&path);
    store_keys(develop->files, loop_now_ms(develop->loop), &names);
    for (size_t at = 0; names.len != develop->learnt && at < names.len;) {
        uint32_t len;
        memcpy(&len, names.data + at, sizeof len);
        bytes_clear(&path);
        bytes_append(&path, names.data + at + sizeof len, len);
        bytes_append(&path, "", 1);
        sources_add(&develop->sources, path.data);
        at += sizeof len + len;
    }
    develop->learnt = names.len;
    bytes_deinit(&path);
    bytes_deinit(&names);
}

static void on_learn(struct deadline *deadline)
{
    struct develop *develop = container_of(deadline, struct develop, learn);
    develop_learn(develop);
    loop_set_deadline(develop->loop, &develop->learn, LEARN_MS);
}

/* ---- telling pages ---- */

static const char *word_of(unsigned changed)
{
    if (changed & SOURCES_VIEWS)
        return "views";
    return changed & SOURCES_ASSETS ? "assets" : "code";
}

/* {"serving":3,"failed":4,"changed":"code","error":"..."} */
static void write_state(struct bytes *out, int serving, int failed, unsigned changed,
                        const char *error)
{
    bytes_printf(out, "{\"serving\":%d,\"changed\":\"%s\"", serving, word_of(changed));
    if (error) {
        bytes_printf(out, ",\"failed\":%d,\"error\":", failed);
        if (quote_json(out, error, strlen(error)) < 0)
            bytes_append_text(out, "\"see the log\"");
    }
    bytes_append_text(out, "}");
}

static void set_state(struct develop *develop, const char *state)
{
    struct bytes value;
    bytes_init(&value);
    value_write_text(state, &value);
    const struct store_value packed = {value.data, value.len};
    store_set(develop->store, "state", 5, packed, loop_now_ms(develop->loop), 0);
    bytes_deinit(&value);
}

void develop_tell(struct develop *develop, int serving, int failed, const char *error)
{
    struct bytes state;
    struct published published;
    if (!develop->topic)
        return;
    develop_learn(develop); /* what has just been loaded, or could not be */
    bytes_init(&state);
    write_state(&state, serving, failed, develop->changed, error);
    const struct publication news = {.form = MESSAGE_JSON, .data = state.data, .len = state.len};
    topic_publish(develop->topic, &news, &published);
    bytes_append(&state, "", 1);
    if (error || develop->changed != SOURCES_ASSETS) /* style sheets do not mend code */
        set_state(develop, state.data);
    if (!error)
        develop->changed = 0;
    bytes_deinit(&state);
}

/* ---- watching ---- */

static void add_folder(const char *path, void *arg)
{
    struct develop *develop = arg;
    int err = fswatch_add(&develop->watch, path);
    if (err && err != -ENOENT) /* it may come back: look() waits for the root */
        log_warn("cannot watch %s: %s", path, strerror(-err));
}

static unsigned look(struct develop *develop)
{
    fswatch_begin(&develop->watch);
    unsigned changed = sources_look(&develop->sources, add_folder, develop);
    fswatch_end(&develop->watch);
    if (develop->sources.folders == 0)
        loop_set_deadline(develop->loop, &develop->look, MISSING_MS);
    return changed;
}

static void develop_on_look(struct deadline *deadline)
{
    struct develop *develop = container_of(deadline, struct develop, look);
    unsigned changed = look(develop);
    develop->changed |= changed;
    if (changed & (SOURCES_CODE | SOURCES_VIEWS))
        develop->on_code(develop->owner);
    else if (changed)
        develop->on_assets(develop->owner);
}

static void develop_on_change(struct fswatch *watch)
{
    struct develop *develop = container_of(watch, struct develop, watch);
    if (!deadline_is_set(&develop->look))
        loop_set_deadline(develop->loop, &develop->look, SETTLE_MS);
}

/* ---- life ---- */

/* The folder of what is served. */
static void find_root(struct develop *develop, const char *target)
{
    struct stat info;
    const char *path = target ? target : DEFAULT_DIR;
    const char *slash = strrchr(path, '/');
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        snprintf(develop->root, sizeof develop->root, "%s", path);
    else if (slash)
        snprintf(develop->root, sizeof develop->root, "%.*s", (int)(slash - path), path);
    else
        snprintf(develop->root, sizeof develop->root, ".");
}

void develop_start(struct develop *develop, const char *target, const char *config_file,
                   struct hub *hub, struct shelf *shelf)
{
    find_root(develop, target);
    fswatch_init(&develop->watch, develop->loop, develop_on_change);
    sources_init(&develop->sources, develop->root);
    deadline_init(&develop->look, develop_on_look);
    deadline_init(&develop->learn, on_learn);
    develop->topic = topic_open(hub, NAME, strlen(NAME), NULL);
    develop->store = shelf_store(shelf, NAME, strlen(NAME));
    develop->files = shelf_store(shelf, FILES_NAME, strlen(FILES_NAME));
    look(develop);
    sources_add(&develop->sources, config_file);
    on_learn(&develop->learn);
    develop_tell(develop, 1, 0, NULL);
}

void develop_stop(struct develop *develop)
{
    if (!develop->topic)
        return;
    loop_clear_deadline(develop->loop, &develop->look);
    loop_clear_deadline(develop->loop, &develop->learn);
    fswatch_close(&develop->watch);
    sources_deinit(&develop->sources);
    topic_drop(develop->topic);
    develop->topic = NULL;
}
