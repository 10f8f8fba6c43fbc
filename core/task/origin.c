/* Origins of calls, and the log line about what was leaked there: see origin.h. */
#include "task/origin.h"

#include "base/log.h"
#include "task/vm.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define LEVELS_MAX 16 /* our own functions are never nested so deep */

static bool is_own(lua_State *L, const char *source)
{
    const char *own = vm_of(L)->options.lua_dir;
    return own != NULL && source[0] == '@' && strncmp(source + 1, own, strlen(own)) == 0;
}

static void write_from(lua_State *co, int level, char text[ORIGIN_SIZE])
{
    lua_Debug ar;
    text[0] = '\0';
    for (; level < LEVELS_MAX && lua_getstack(co, level, &ar); level++) {
        lua_getinfo(co, "Sl", &ar);
        if (ar.currentline > 0 && !is_own(co, ar.source)) {
            snprintf(text, ORIGIN_SIZE, "%s:%d", ar.short_src, ar.currentline);
            return;
        }
    }
}

static void push_from(lua_State *L, lua_State *co, int level)
{
    char text[ORIGIN_SIZE];
    write_from(co, level, text);
    lua_pushstring(L, text);
}

void origin_write(lua_State *co, char text[ORIGIN_SIZE])
{
    write_from(co, 0, text);
}

void origin_push(lua_State *L)
{
    push_from(L, L, 1);
}

void origin_push_of(lua_State *L, lua_State *co)
{
    push_from(L, co, 0);
}

void origin_keep(lua_State *L)
{
    origin_push(L);
    lua_setiuservalue(L, -2, 1);
}

void origin_log_leak(lua_State *L, int index, const char *what)
{
    lua_getiuservalue(L, index, 1);
    const char *where = lua_tostring(L, -1);
    bool is_known = where != NULL && where[0] != '\0';
    log_warn("%s was not closed%s%s: close it, or keep it in a <close> variable", what,
             is_known ? "; it was made at " : "", is_known ? where : "");
    lua_pop(L, 1);
}
