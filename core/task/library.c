/* The compiled files: see library.h. Bytecode of anybody else could break the interpreter, so none
 * is ever read from a file: what is loaded here was compiled by this process, from source text. */
#include "task/library.h"

#include "base/blob.h"
#include "base/bytes.h"
#include "base/list.h"
#include "base/mem.h"
#include "task/own_env.h"
#include "task/vm.h"
#include "value/binding.h"

#include <lauxlib.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

struct library {
    pthread_mutex_t lock; /* guards the list; never held while Lua runs */
    struct list files;
    size_t dir_len;
    char dir[]; /* ends with a slash */
};

struct library_file {
    struct list link;
    struct timespec changed; /* as it was when it was compiled */
    off_t size;
    struct blob *code;
    char path[];
};

/* ---- the files ---- */

static struct library_file *library_find(const struct library *library, const char *path)
{
    list_each (link, &library->files) {
        struct library_file *file = container_of(link, struct library_file, link);
        if (strcmp(file->path, path) == 0)
            return file;
    }
    return NULL;
}

static bool is_as_it_was(const struct library_file *file, const struct stat *stat)
{
    return file->size == stat->st_size && file->changed.tv_sec == stat->st_mtim.tv_sec &&
           file->changed.tv_nsec == stat->st_mtim.tv_nsec;
}

/* What has been compiled of it, held for the caller; NULL: nothing, or it has changed since. */
static struct blob *library_take(struct library *library, const char *path, const struct stat *stat)
{
    pthread_mutex_lock(&library->lock);
    const struct library_file *file = library_find(library, path);
    struct blob *code = file && is_as_it_was(file, stat) ? blob_hold(file->code) : NULL;
    pthread_mutex_unlock(&library->lock);
    return code;
}

static struct library_file *library_add(struct library *library, const char *path)
{
    size_t size = strlen(path) + 1;
    struct library_file *file = mem_calloc(sizeof(*file) + size);
    memcpy(file->path, path, size);
    list_push(&library->files, &file->link);
    return file;
}

/* Takes the reference. */
static void library_keep(struct library *library, const char *path, const struct stat *stat,
                         struct blob *code)
{
    pthread_mutex_lock(&library->lock);
    struct library_file *file = library_find(library, path);
    if (!file)
        file = library_add(library, path);
    blob_drop(file->code);
    file->code = code;
    file->size = stat->st_size;
    file->changed = stat->st_mtim;
    pthread_mutex_unlock(&library->lock);
}

/* ---- compiling ---- */

static int write_code(lua_State *L, const void *data, size_t len, void *bytes)
{
    (void)L;
    return bytes_try_append(bytes, data, len);
}

/* The function on top, with its lines and names, which tracebacks need. NULL: no memory for it. */
static struct blob *dump(lua_State *L)
{
    struct bytes bytes = {0};
    struct blob *code = NULL;
    if (lua_dump(L, write_code, &bytes, 0) == 0)
        code = blob_try_new(bytes.len);
    if (code)
        memcpy(code->data, bytes.data, bytes.len);
    bytes_deinit(&bytes);
    return code;
}

/* As luaL_loadfilex. */
static int compile(struct library *library, lua_State *L, const char *path, const struct stat *stat)
{
    int status = luaL_loadfilex(L, path, "t");
    struct blob *code = status == LUA_OK ? dump(L) : NULL;
    if (code)
        library_keep(library, path, stat, code);
    return status;
}

static int load_text_or_code(struct library *library, lua_State *L, const char *path)
{
    /* Before it is read: should it change meanwhile, it is read again next time. */
    struct stat found;
    if (!library || strncmp(path, library->dir, library->dir_len) != 0 || stat(path, &found) != 0)
        return luaL_loadfilex(L, path, "t");
    struct blob *code = library_take(library, path, &found);
    if (!code)
        return compile(library, L, path, &found);
    int status = luaL_loadbufferx(L, code->data, code->len, path, "b");
    blob_drop(code);
    return status;
}

static bool is_own(lua_State *L, const char *path)
{
    const char *dir = vm_of(L)->options.lua_dir;
    size_t len = dir ? strlen(dir) : 0;
    return len > 0 && strncmp(path, dir, len) == 0 && path[len] == '/';
}

int library_load(lua_State *L, const char *path)
{
    int status = load_text_or_code(vm_of(L)->options.library, L, path);
    if (status == LUA_OK && is_own(L, path))
        own_env_give(L);
    return status;
}

/* core.load_file(path) -> function | nil, message. Source text only. */
static int core_load_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    if (library_load(L, path) == LUA_OK)
        return 1;
    luaL_pushfail(L);
    lua_insert(L, -2);
    return 2;
}

static int bind_library(lua_State *L)
{
    lua_pushcfunction(L, core_load_file);
    lua_setfield(L, -2, "load_file");
    return 0;
}

BINDING_PORTABLE(bind_library)

/* ---- life ---- */

struct library *library_new(const char *dir)
{
    size_t len = strlen(dir);
    struct library *library = mem_calloc(sizeof(*library) + len + sizeof("/"));
    pthread_mutex_init(&library->lock, NULL);
    list_init(&library->files);
    memcpy(library->dir, dir, len);
    library->dir[len] = '/';
    library->dir_len = len + 1;
    return library;
}

void library_free(struct library *library)
{
    struct list *link;
    while ((link = list_shift(&library->files))) {
        struct library_file *file = container_of(link, struct library_file, link);
        blob_drop(file->code);
        mem_free(file);
    }
    pthread_mutex_destroy(&library->lock);
    mem_free(library);
}
