/* What `neap dev` adds to a server: it watches the application's files, asks for a reload when one
 * has changed, and tells open pages what became of it: by the topic and the store "neap.dev", which
 * lua/neap/dev/dev.lua reads. Main thread. */
#ifndef DEV_DEVELOP_H
#define DEV_DEVELOP_H

#include "dev/sources.h"
#include "live/hub.h"
#include "live/shelf.h"
#include "live/store.h"
#include "live/topic.h"
#include "net/fswatch.h"

struct develop {
    struct loop *loop;
    void (*on_code)(void *owner);   /* code has changed: reload, then develop_tell */
    void (*on_assets)(void *owner); /* only what browsers load: develop_tell */
    void *owner;

    char root[4096]; /* the folder that is watched */
    struct fswatch watch;
    struct sources sources;
    struct deadline look;  /* soon after a change: there are often several */
    unsigned changed;      /* kinds, since pages were told last */
    struct store *files;   /* names of what is to be watched elsewhere, by lua/neap/dev/watch.lua */
    struct deadline learn; /* looks for new ones among them */
    size_t learnt;         /* bytes of their names */
    struct topic *topic;
    struct store *store;
};

/* The caller has set what is above the blank line. `target` is what the command serves, NULL: the
 * folder apps/; `config_file` has its settings, or none yet. */
void develop_start(struct develop *develop, const char *target, const char *config_file,
                   struct hub *hub, struct shelf *shelf);
void develop_learn(struct develop *develop); /* something was loaded that may be elsewhere */
void develop_stop(struct develop *develop);  /* also when it was not started */
/* Generation `serving` serves. `error`: because `failed` could not be loaded, else NULL. */
void develop_tell(struct develop *develop, int serving, int failed, const char *error);

#endif
