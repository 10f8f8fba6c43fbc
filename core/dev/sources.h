/* The files below a folder, and some elsewhere, that make up an application: what of them has
 * changed since the last look, by content. Files that an application writes itself (a database, a
 * log) are none. */
#ifndef DEV_SOURCES_H
#define DEV_SOURCES_H

#include "base/hash.h"
#include "base/list.h"
#include "base/table.h"

#include <stdbool.h>

enum {
    SOURCES_CODE = 1,   /* Lua: has to be loaded again */
    SOURCES_VIEWS = 2,  /* templates: likewise, and pages look different */
    SOURCES_ASSETS = 4, /* what a browser loads: served as it is */
};

struct sources {
    const char *root; /* a folder */
    struct hash_seed seed;
    struct table files;
    unsigned round;
    unsigned changed;
    bool is_quiet;      /* what is new now has only not been known before */
    struct list extras; /* paths elsewhere */
    int extra_count;
    int folders; /* seen in this round */
    void (*on_folder)(const char *path, void *arg);
    void *arg;
};

void sources_init(struct sources *sources, const char *root);
void sources_deinit(struct sources *sources);
/* A file or folder elsewhere, which need not be there (any more). Again: no effect. After the first
 * look. */
void sources_add(struct sources *sources, const char *path);
/* Looks at everything, calling on_folder for each folder; the kinds of which a file has changed,
 * come or gone. Of the first look the result means nothing. */
unsigned sources_look(struct sources *sources, void (*on_folder)(const char *path, void *arg),
                      void *arg);

#endif
