/* Changes in folders, by libuv's uv_fs_event_t: see fswatch.h. One that is removed and made again
 * has to be watched again, which its number on the file system shows. */
#include "net/fswatch.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

struct folder {
    uv_fs_event_t event;
    struct list link;
    struct fswatch *watch;
    char *path;
    ino_t inode;
    unsigned round; /* in which it was named last */
};

static void on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
    struct folder *folder = container_of(event, struct folder, event);
    (void)name;
    (void)events;
    (void)status;
    folder->watch->on_change(folder->watch);
}

static void fswatch_on_uv_closed(uv_handle_t *handle)
{
    struct folder *folder = container_of((uv_fs_event_t *)handle, struct folder, event);
    mem_free(folder->path);
    mem_free(folder);
}

static void fswatch_forget(struct folder *folder)
{
    list_remove(&folder->link);
    uv_close((uv_handle_t *)&folder->event, fswatch_on_uv_closed);
}

static struct folder *fswatch_find(struct fswatch *watch, const char *dir)
{
    list_each (link, &watch->folders) {
        struct folder *folder = container_of(link, struct folder, link);
        if (strcmp(folder->path, dir) == 0)
            return folder;
    }
    return NULL;
}

static int open_folder(struct fswatch *watch, const char *dir, ino_t inode)
{
    struct folder *folder = mem_calloc(sizeof(*folder));
    folder->watch = watch;
    folder->path = mem_strdup(dir);
    folder->inode = inode;
    folder->round = watch->round;
    list_push(&watch->folders, &folder->link);
    uv_fs_event_init(&watch->loop->uv, &folder->event); /* cannot fail */
    int err = uv_fs_event_start(&folder->event, on_event, dir, 0);
    if (err)
        fswatch_forget(folder);
    return err;
}

int fswatch_add(struct fswatch *watch, const char *dir)
{
    struct stat info;
    if (stat(dir, &info) != 0)
        return -errno;
    struct folder *folder = fswatch_find(watch, dir);
    if (folder && folder->inode == info.st_ino) {
        folder->round = watch->round;
        return 0;
    }
    if (folder)
        fswatch_forget(folder);
    return open_folder(watch, dir, info.st_ino);
}

void fswatch_begin(struct fswatch *watch)
{
    watch->round++;
}

/* Forgets those of earlier rounds. */
void fswatch_end(struct fswatch *watch)
{
    for (struct list *link = watch->folders.next, *next; link != &watch->folders; link = next) {
        struct folder *folder = container_of(link, struct folder, link);
        next = link->next;
        if (folder->round != watch->round)
            fswatch_forget(folder);
    }
}

void fswatch_init(struct fswatch *watch, struct loop *loop,
                  void (*on_change)(struct fswatch *watch))
{
    *watch = (struct fswatch){.loop = loop, .on_change = on_change};
    list_init(&watch->folders);
}

void fswatch_close(struct fswatch *watch)
{
    while (!list_is_empty(&watch->folders))
        fswatch_forget(container_of(watch->folders.next, struct folder, link));
}
