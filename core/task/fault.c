/* Failures as text. Notes taken by the handler are plain memory owned by the task, so that the
 * error value itself reaches <close> handlers and pcall untouched. */
#include "task/fault.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"
#include "task/stop.h"
#include "task/task.h"
#include "task/vm.h"

#include <lauxlib.h>
#include <string.h>

#define FAULT_DEEP 1000             /* levels above which a stack is a runaway recursion */
#define FAULT_SHOWN 22              /* levels of it that are shown */
#define BOTTOM_LINE "\n\t[C]: in ?" /* the frames of the scheduler itself */

static size_t clipped(size_t len)
{
    return len < FAULT_MAX ? len : FAULT_MAX;
}

/* Without the lines at the end that say nothing. */
static size_t trimmed(const char *text, size_t len)
{
    const size_t line = sizeof(BOTTOM_LINE) - 1;
    while (len >= line && memcmp(text + len - line, BOTTOM_LINE, line) == 0)
        len -= line;
    return len;
}

/* ---- stacks ---- */

bool fault_is_deep(lua_State *co)
{
    lua_Debug ar;
    return lua_getstack(co, FAULT_DEEP, &ar);
}

static void add_level(luaL_Buffer *text, lua_State *L, lua_State *co, lua_Debug *ar)
{
    lua_getinfo(co, "Sln", ar);
    if (ar->currentline > 0)
        lua_pushfstring(L, "\n\t%s:%d: in ", ar->short_src, ar->currentline);
    else
        lua_pushfstring(L, "\n\t%s: in ", ar->short_src);
    luaL_addvalue(text);
    if (ar->name != NULL)
        lua_pushfstring(L, "%s '%s'", ar->namewhat, ar->name);
    else
        lua_pushfstring(L, "function <%s:%d>", ar->short_src, ar->linedefined);
    luaL_addvalue(text);
}

/* lua_getstack walks from the top, so luaL_traceback, which shows the bottom, walks through all
 * levels dozens of times: seconds when there are 200,000. Here only the top is shown. */
void fault_push_stack(lua_State *L, lua_State *co, const char *text, int level)
{
    luaL_Buffer buffer;
    lua_Debug ar;
    if (!fault_is_deep(co)) {
        luaL_traceback(L, co, text, level);
        return;
    }
    luaL_buffinit(L, &buffer);
    if (text != NULL) {
        luaL_addstring(&buffer, text);
        luaL_addchar(&buffer, '\n');
    }
    luaL_addstring(&buffer, "stack traceback:");
    for (int end = level + FAULT_SHOWN; level < end && lua_getstack(co, level, &ar); level++)
        add_level(&buffer, L, co, &ar);
    lua_pushfstring(L, "\n\t...\t(more than %d levels)", FAULT_DEEP);
    luaL_addvalue(&buffer);
    luaL_pushresult(&buffer);
}

static void note_traceback(struct task *task, const void *error, const char *text, size_t len)
{
    struct bytes note;
    bytes_init(&note);
    if (task->cause != NULL && task->cause_of == error && error != NULL) {
        bytes_append_text(&note, task->cause);
        bytes_append_text(&note, "\nraised again, ");
    }
    bytes_append(&note, text, trimmed(text, clipped(len)));
    bytes_append(&note, "", 1);
    mem_free(task->traceback);
    task->traceback = note.data;
}

/* Whether the error at 1 is an answer: it carries a status (neap.abort), or a handler returned it
 * after nil. Only raw fields are looked at; with others it gets a traceback that nobody reads. */
static bool is_answer(lua_State *L)
{
    if (!lua_istable(L, 1))
        return false;
    lua_pushliteral(L, "status");
    bool has_status = lua_rawget(L, 1) == LUA_TNUMBER && lua_isinteger(L, -1) &&
                      lua_tointeger(L, -1) >= 300 && lua_tointeger(L, -1) <= 599;
    lua_pushliteral(L, "is_returned");
    bool is_returned = lua_rawget(L, 1) == LUA_TBOOLEAN;
    lua_pop(L, 2);
    return has_status || is_returned;
}

/* Clients can ask for refusals as often as they like, and a traceback costs a hundred times what
 * the rest of a refusal does. So a request's failure gets one only when it will be logged. */
int fault_handler(lua_State *L)
{
    struct task *task = task_of(L);
    if (task == NULL || stop_is_cancelled(L, 1) || (task->answers_errors && is_answer(L)))
        return 1;
    size_t len;
    fault_push_stack(L, L, NULL, 1);
    const char *text = lua_tolstring(L, -1, &len);
    note_traceback(task, lua_topointer(L, 1), text, len);
    lua_pop(L, 1);
    return 1;
}

void fault_note_cause(lua_State *L, int index, const char *traceback)
{
    struct task *task = task_of(L);
    if (task == NULL || traceback == NULL)
        return;
    /* `traceback` may be the old cause. */
    char *copy = mem_strndup(traceback, clipped(strlen(traceback)));
    mem_free(task->cause);
    task->cause = copy;
    task->cause_of = lua_topointer(L, index);
}

static int convert(lua_State *L)
{
    luaL_tolstring(L, 1, NULL);
    return 1;
}

void fault_push_text(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    int type = lua_type(L, index);
    if (type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TBOOLEAN || type == LUA_TNIL) {
        luaL_tolstring(L, index, NULL);
        return;
    }
    if (luaL_getmetafield(L, index, "__tostring") == LUA_TNIL) {
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, index));
        return;
    }
    lua_pop(L, 1);
    lua_pushcfunction(L, convert);
    lua_pushvalue(L, index);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
        lua_pop(L, 1);
        lua_pushfstring(L, "(error object is a %s value whose __tostring fails)",
                        luaL_typename(L, index));
    }
}

/* Innermost coroutine first. */
void fault_push_traceback(lua_State *L, lua_State *co)
{
    lua_State *below =
        lua_status(co) == LUA_YIELD && task_park_is_marked(co) ? task_park_below(co) : NULL;
    if (!lua_checkstack(L, 8)) /* what is reported must not be replaced by this */
        below = NULL;
    if (below != NULL) {
        fault_push_traceback(L, below);
        lua_pushliteral(L, "\nresumed by, ");
    }
    fault_push_stack(L, co, NULL, 0);
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    lua_pushlstring(L, text, trimmed(text, clipped(len)));
    lua_remove(L, -2);
    if (below != NULL)
        lua_concat(L, 3);
}

void fault_log(lua_State *L, const char *who, int index, const char *traceback)
{
    size_t len;
    fault_push_text(L, index);
    const char *text = lua_tolstring(L, -1, &len);

    struct bytes line;
    bytes_init(&line);
    bytes_printf(&line, "%s: failed: ", who);
    bytes_append(&line, text, clipped(len));
    if (traceback != NULL)
        bytes_printf(&line, "\n%s", traceback);
    log_own_line(LOG_ERROR, line.data, line.len, NULL, 0);
    bytes_deinit(&line);
    lua_pop(L, 1);
}
