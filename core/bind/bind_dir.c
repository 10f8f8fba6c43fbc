/* What folders hold. core.list_dir finds applications and blocks as long as it takes, which loading
 * may; core.file_type asks about one file for app:static. */
#include "net/file.h"
#include "value/binding.h"
#include "value/owned.h"

#include <dirent.h>
#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* scandir's list, freed by the collector if a push raises. */
struct names {
    struct dirent **entries;
    int count;
};

static int names_free(lua_State *L)
{
    struct names *names = luaL_checkudata(L, 1, "neap.names");
    for (int i = 0; i < names->count; i++)
        free(names->entries[i]);
    free(names->entries);
    names->entries = NULL;
    names->count = 0;
    return 0;
}

static struct names *names_new(lua_State *L)
{
    struct names *names = lua_newuserdatauv(L, sizeof *names, 0);
    *names = (struct names){0};
    owned_set_type(L, "neap.names", names_free);
    return names;
}

static int is_listed(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int is_dir(const char *path, const char *name)
{
    char full[4096];
    struct stat info;
    if (snprintf(full, sizeof full, "%s/%s", path, name) >= (int)sizeof full)
        return 0;
    return stat(full, &info) == 0 && S_ISDIR(info.st_mode);
}

/* core.list_dir(path) -> sorted names, those of folders end with "/" | nil, message */
static int list_dir(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct names *names = names_new(L);
    int count = scandir(path, &names->entries, is_listed, alphasort);
    if (count < 0) {
        luaL_pushfail(L);
        lua_pushstring(L, strerror(errno));
        return 2;
    }
    names->count = count;
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        const char *name = names->entries[i]->d_name;
        lua_pushfstring(L, "%s%s", name, is_dir(path, name) ? "/" : "");
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* core.file_type(root, path) -> "file" | "directory" | nil | nil, "busy": what lies at `path`
 * beneath the folder `root`, for a client that may not leave it; busy: too many files are open to
 * look */
static int file_type(lua_State *L)
{
    const char *root = luaL_checkstring(L, 1);
    const char *path = luaL_checkstring(L, 2);
    struct file_info info;

    int err = file_open(root, path, &info);

    if (err == 0)
        file_close(&info);
    if (err == -EMFILE || err == -ENFILE || err == -ENOMEM) {
        lua_pushnil(L);
        lua_pushliteral(L, "busy");
        return 2;
    }
    if (err == 0 || err == -EISDIR)
        lua_pushstring(L, err ? "directory" : "file");
    else
        lua_pushnil(L);
    return 1;
}

static int bind_dir(lua_State *L)
{
    lua_pushcfunction(L, list_dir);
    lua_setfield(L, -2, "list_dir");
    lua_pushcfunction(L, file_type);
    lua_setfield(L, -2, "file_type");
    return 0;
}

BINDING_PORTABLE(bind_dir)
