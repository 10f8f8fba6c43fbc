/* The files of an application: see sources.h. A file is read again only when its time, size or
 * number has changed, and counts as changed only when its content is another: a touch is no
 * change. */
#include "dev/sources.h"

#include "base/list.h"
#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDERS_MAX 2000       /* watched at most */
#define EXTRAS_MAX 1000        /* paths elsewhere */
#define DEPTH_MAX 16           /* folders in folders */
#define CONTENT_MAX (1u << 20) /* bytes; of a larger file, time and size are looked at instead */

struct file {
    struct table_link link;
    char *path;
    struct stat info;
    uint64_t content;
    unsigned kind;
    unsigned round; /* in which it was seen last */
};

/* A path elsewhere. */
struct extra {
    struct list link;
    char path[];
};

/* ---- what counts ---- */

static bool ends_with(const char *name, const char *ending)
{
    size_t len = strlen(name);
    size_t ending_len = strlen(ending);
    return len > ending_len && strcasecmp(name + len - ending_len, ending) == 0;
}

static unsigned kind_of(const char *name, bool is_view)
{
    static const char *const assets[] = {".html", ".css",   ".js",   ".mjs", ".svg",
                                         ".png",  ".jpg",   ".jpeg", ".gif", ".ico",
                                         ".webp", ".woff2", ".txt",  ".json"};
    if (ends_with(name, ".lua"))
        return SOURCES_CODE;
    if (is_view)
        return SOURCES_VIEWS;
    for (size_t i = 0; i < sizeof assets / sizeof assets[0]; i++)
        if (ends_with(name, assets[i]))
            return SOURCES_ASSETS;
    return 0;
}

static bool is_hidden(const char *name)
{
    return name[0] == '.' || strcmp(name, "node_modules") == 0;
}

/* ---- one file ---- */

static bool is_same_stat(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static uint64_t read_content(const struct sources *sources, const char *path,
                             const struct stat *info)
{
    uint64_t content = (uint64_t)info->st_mtim.tv_sec ^ (uint64_t)info->st_size << 40;
    size_t size = (size_t)info->st_size;
    int fd = size <= CONTENT_MAX ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return content;
    char *data = mem_alloc(size + 1);
    ssize_t len = read(fd, data, size);
    if (len >= 0)
        content = hash_bytes(&sources->seed, data, (size_t)len);
    mem_free(data);
    close(fd);
    return content;
}

static struct file *sources_find(const struct sources *sources, const char *path, uint64_t hash)
{
    for (struct table_link *link = table_chain(&sources->files, hash); link; link = link->next) {
        struct file *file = container_of(link, struct file, link);
        if (link->hash == hash && strcmp(file->path, path) == 0)
            return file;
    }
    return NULL;
}

static void look_at_file(struct sources *sources, const char *path, const struct stat *info,
                         unsigned kind)
{
    uint64_t hash = hash_bytes(&sources->seed, path, strlen(path));
    struct file *file = sources_find(sources, path, hash);
    bool is_new = file == NULL;
    if (is_new) {
        file = mem_calloc(sizeof *file);
        file->path = mem_strdup(path);
        file->kind = kind;
        table_add(&sources->files, &file->link, hash);
    }
    file->round = sources->round;
    if (!is_new && (sources->is_quiet || is_same_stat(&file->info, info)))
        return;
    uint64_t content = read_content(sources, path, info);
    if (is_new ? !sources->is_quiet : content != file->content)
        sources->changed |= kind;
    file->info = *info;
    file->content = content;
}

static void file_free(struct file *file)
{
    mem_free(file->path);
    mem_free(file);
}

/* ---- all of them ---- */

static void look_at_folder(struct sources *sources, const char *path, bool is_view, int depth);

static void look_at_entry(struct sources *sources, const char *dir, const char *name, bool is_view,
                          int depth)
{
    char path[PATH_MAX];
    struct stat info;
    int len = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (len >= (int)sizeof path || stat(path, &info) != 0)
        return;
    if (S_ISDIR(info.st_mode)) {
        if (depth < DEPTH_MAX)
            look_at_folder(sources, path, is_view || strcmp(name, "views") == 0, depth + 1);
        return;
    }
    unsigned kind = S_ISREG(info.st_mode) ? kind_of(name, is_view) : 0;
    if (kind)
        look_at_file(sources, path, &info, kind);
}

static int is_shown(const struct dirent *entry)
{
    return !is_hidden(entry->d_name);
}

/* By scandir, not opendir: ThreadSanitizer takes the descriptor that closedir closes for a socket
 * that had the same number, since libuv closes those behind its back. */
static void look_at_folder(struct sources *sources, const char *path, bool is_view, int depth)
{
    struct dirent **entries;
    if (sources->folders >= FOLDERS_MAX)
        return;
    sources->on_folder(path, sources->arg); /* before it is read, so that nothing is missed */
    int count = scandir(path, &entries, is_shown, NULL);
    if (count < 0)
        return;
    sources->folders++;
    for (int i = 0; i < count; i++) {
        look_at_entry(sources, path, entries[i]->d_name, is_view, depth);
        free(entries[i]);
    }
    free(entries);
}

/* The last part of a path. */
static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The folder it is in tells when it goes and comes back. */
static void watch_parent(struct sources *sources, const char *path)
{
    char dir[PATH_MAX];
    struct stat info;
    int len = (int)(name_of(path) - path); /* with the slash */
    if (len == 0)
        snprintf(dir, sizeof dir, ".");
    else
        snprintf(dir, sizeof dir, "%.*s", len > 1 ? len - 1 : 1, path);
    if (stat(dir, &info) == 0)
        sources->on_folder(dir, sources->arg);
}

static void look_at_extra(struct sources *sources, struct extra *extra)
{
    struct stat info;
    const char *name = name_of(extra->path);
    watch_parent(sources, extra->path); /* before it is read */
    if (stat(extra->path, &info) != 0)
        return;
    if (S_ISDIR(info.st_mode))
        look_at_folder(sources, extra->path, strcmp(name, "views") == 0, 1);
    else if (kind_of(name, false))
        look_at_file(sources, extra->path, &info, kind_of(name, false));
}

/* Takes out what was not seen in this round; all of it in round 0. */
static void sweep(struct sources *sources)
{
    for (size_t i = 0; i < sources->files.used; i++)
        for (struct table_link *link = sources->files.buckets[i], *next; link; link = next) {
            struct file *file = container_of(link, struct file, link);
            next = link->next;
            if (sources->round != 0 && file->round == sources->round)
                continue;
            sources->changed |= file->kind;
            table_remove(&sources->files, link);
            file_free(file);
        }
}

unsigned sources_look(struct sources *sources, void (*on_folder)(const char *path, void *arg),
                      void *arg)
{
    sources->round++;
    sources->changed = 0;
    sources->folders = 0;
    sources->on_folder = on_folder;
    sources->arg = arg;
    look_at_folder(sources, sources->root, false, 0);
    list_each (link, &sources->extras)
        look_at_extra(sources, container_of(link, struct extra, link));
    sweep(sources);
    return sources->changed;
}

static bool is_extra(const struct sources *sources, const char *path)
{
    list_each (link, &sources->extras)
        if (strcmp(container_of(link, struct extra, link)->path, path) == 0)
            return true;
    return false;
}

void sources_add(struct sources *sources, const char *path)
{
    size_t size = strlen(path) + 1;
    if (size > PATH_MAX || sources->extra_count >= EXTRAS_MAX || is_extra(sources, path))
        return;
    struct extra *extra = mem_calloc(sizeof *extra + size);
    memcpy(extra->path, path, size);
    list_push(&sources->extras, &extra->link);
    sources->extra_count++;
    sources->is_quiet = true;
    look_at_extra(sources, extra);
    sources->is_quiet = false;
}

void sources_init(struct sources *sources, const char *root)
{
    *sources = (struct sources){.root = root};
    hash_seed_init(&sources->seed);
    table_init(&sources->files);
    list_init(&sources->extras);
}

void sources_deinit(struct sources *sources)
{
    sources->round = 0;
    sweep(sources);
    for (struct list *link; (link = list_shift(&sources->extras));)
        mem_free(container_of(link, struct extra, link));
    table_deinit(&sources->files);
}
