/* References to tasks: how Lua starts one, and what is kept of its end. All that must not fail (a
 * group counts on it) is done in on_ref_end, with nothing that needs memory. */
#include "task/task_ref.h"

#include "task/crew.h"
#include "task/fault.h"
#include "task/stop.h"
#include "task/task.h"
#include "task/vm.h"

#include <lauxlib.h>
#include <string.h>

static const char selves_key; /* registry: handle -> reference to a task that C started; weak */

void task_ref_open(lua_State *L)
{
    luaL_newmetatable(L, TASK_REF_TYPE);
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &selves_key);
}

struct task_ref *task_ref_check(lua_State *L, int index)
{
    return luaL_checkudata(L, index, TASK_REF_TYPE);
}

struct task *task_ref_task(lua_State *L, const struct task_ref *ref)
{
    return task_get(vm_of(L), ref->task);
}

static struct task_ref *push_ref(lua_State *L, slot_handle handle)
{
    struct task_ref *ref = lua_newuserdatauv(L, sizeof(*ref), TASK_REF_VALUES);
    *ref = (struct task_ref){.task = handle, .anchor = LUA_NOREF};
    list_init(&ref->sibling);
    luaL_setmetatable(L, TASK_REF_TYPE);
    return ref;
}

/* ---- in the task ---- */

/* The results are kept while somebody has the reference. */
static int task_ref_body_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    (void)ctx;
    struct task_ref *ref = task_of(L)->owner;
    ref->count = lua_gettop(L);
    luaL_checkstack(L, 4, "too many results");
    if (ref->count > 0) {
        lua_createtable(L, ref->count, 0);
        lua_insert(L, 1);
        for (int i = ref->count; i >= 1; i--)
            lua_rawseti(L, 1, i);
        lua_rawgeti(L, LUA_REGISTRYINDEX, ref->anchor); /* stack: results, ref */
        lua_insert(L, 1);
        lua_setiuservalue(L, 1, TASK_REF_RESULTS);
    }
    ref->outcome = TASK_REF_DONE;
    return 0;
}

/* stack: fn, arguments... */
static int body_main(lua_State *L)
{
    lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, task_ref_body_done);
    return task_ref_body_done(L, LUA_OK, 0);
}

static bool is_awaited(const struct task_ref *ref, const struct task *task)
{
    return ref->is_owned || !list_is_empty(&task->joiners) ||
           (ref->crew != NULL && crew_wants_failure(ref->crew));
}

/* stack: error, traceback */
static int on_ref_error(lua_State *L, struct task *task)
{
    struct task_ref *ref = task->owner;
    if (!is_awaited(ref, task))
        fault_log(L, task->name, 1, lua_tostring(L, 2));
    if (task_is_cancel(L, 1)) { /* the watchdog's: must not stop whoever raises it again */
        fault_push_text(L, 1);
        lua_replace(L, 1);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref->anchor);
    lua_insert(L, 1); /* stack: ref, error, traceback */
    lua_setiuservalue(L, 1, TASK_REF_TRACEBACK);
    lua_setiuservalue(L, 1, TASK_REF_RESULTS);
    ref->outcome = TASK_REF_FAILED;
    return 0;
}

/* ---- its end ---- */

/* Whatever on_ref_error could not do, for want of memory. stack of L: ..., ref */
static void keep_error(lua_State *L, struct task_ref *ref, lua_State *co)
{
    if (ref->outcome != TASK_REF_OPEN || task_is_cancel(co, -1))
        return;
    lua_xmove(co, L, 1);
    lua_setiuservalue(L, -2, TASK_REF_RESULTS);
    ref->outcome = TASK_REF_FAILED;
}

static void on_ref_end(struct task *task, int status)
{
    struct task_ref *ref = task->owner;
    lua_State *L = task->vm->L;
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref->anchor);
    if (status != LUA_OK)
        keep_error(L, ref, task->co);
    if (ref->crew != NULL)
        crew_leave(L, ref); /* may cancel any other task */
    lua_pop(L, 1);
    luaL_unref(L, LUA_REGISTRYINDEX, ref->anchor); /* ref can be gone after this */
}

/* ---- its beginning ---- */

/* "task FILE:LINE", by hand: every spawn does it, and lua_pushfstring takes three times as long. */
static const char *push_place_name(lua_State *L, const lua_Debug *ar)
{
    char name[sizeof("task :") + LUA_IDSIZE + 12];
    char digits[12];
    char *at = stpcpy(stpcpy(name, "task "), ar->short_src);
    size_t count = 0;
    for (unsigned line = (unsigned)ar->linedefined; line > 0; line /= 10)
        digits[count++] = (char)('0' + line % 10);
    *at++ = ':';
    while (count > 0)
        *at++ = digits[--count];
    return lua_pushlstring(L, name, (size_t)(at - name));
}

/* A name is a name, a function is where it begins. */
static const char *push_name(lua_State *L, int about)
{
    lua_Debug ar;
    lua_pushvalue(L, about);
    if (lua_type(L, about) == LUA_TSTRING)
        return lua_tostring(L, -1);
    lua_getinfo(L, ">S", &ar);
    return ar.linedefined > 0 ? push_place_name(L, &ar) : lua_pushliteral(L, "task");
}

static int no_memory(lua_State *L, const struct task_ref *ref)
{
    luaL_unref(L, LUA_REGISTRYINDEX, ref->anchor);
    return luaL_error(L, "not enough memory for another task");
}

/* stack: ..., name. Pushes a reference with all that may raise; from there on nothing does. */
static struct task_ref *prepare(lua_State *L, int crew)
{
    struct task_ref *ref = push_ref(L, 0);
    lua_pushvalue(L, -2);
    lua_setiuservalue(L, -2, TASK_REF_NAME);
    if (crew != 0) {
        lua_pushvalue(L, crew);
        lua_setiuservalue(L, -2, TASK_REF_CREW);
    }
    lua_pushvalue(L, -1);
    ref->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
    return ref;
}

int task_ref_spawn(lua_State *L, int about, int fn, int crew, bool is_owned)
{
    int args = lua_gettop(L) - fn;
    if (lua_type(L, about) != LUA_TSTRING)
        luaL_checktype(L, about, LUA_TFUNCTION);
    luaL_checktype(L, fn, LUA_TFUNCTION);
    if (vm_of(L)->loop == NULL)
        return luaL_error(L,
                          "there are no tasks inside task.thread, which has a thread for itself");
    luaL_checkstack(L, args + 8, "too many arguments");
    const char *name = push_name(L, about);
    struct task_ref *ref = prepare(L, crew);
    lua_insert(L, fn);
    lua_pop(L, 1); /* stack: ..., ref, fn, arguments; the name is the reference's */

    struct task *task = task_new(vm_of(L), name);
    if (task == NULL)
        return no_memory(L, ref);
    if (!lua_checkstack(task->co, args + 4)) {
        task_drop(task);
        return no_memory(L, ref);
    }
    ref->task = task->handle;
    ref->is_owned = is_owned;
    if (crew != 0)
        crew_join(crew_check(L, crew), ref);
    task->on_error = on_ref_error;
    task->on_end = on_ref_end;
    task->owner = ref;
    lua_pushcfunction(task->co, body_main);
    lua_xmove(L, task->co, args + 1);
    task_start_later(task, args + 1);
    return 1;
}

/* ---- looking at it ---- */

bool task_ref_is_spawned(const struct task *task)
{
    return task->on_end == on_ref_end;
}

void task_ref_push_self(lua_State *L, struct task *task)
{
    if (task_ref_is_spawned(task)) {
        const struct task_ref *ref = task->owner;
        lua_rawgeti(L, LUA_REGISTRYINDEX, ref->anchor);
        return;
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &selves_key);
    if (lua_rawgeti(L, -1, (lua_Integer)task->handle) == LUA_TNIL) {
        lua_pop(L, 1);
        push_ref(L, task->handle);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, (lua_Integer)task->handle);
    }
    lua_remove(L, -2);
}

int task_ref_push_outcome(lua_State *L, int index)
{
    const struct task_ref *ref = task_ref_check(L, index);
    lua_settop(L, index);
    lua_pushboolean(L, ref->outcome == TASK_REF_DONE);
    if (ref->outcome == TASK_REF_OPEN) {
        lua_pushliteral(L, "cancelled");
        return 2;
    }
    lua_getiuservalue(L, index, TASK_REF_RESULTS); /* stack: ..., ref, boolean, error or list */
    if (ref->outcome == TASK_REF_FAILED)
        return 2;
    luaL_checkstack(L, ref->count + 1, "too many results");
    for (int i = 1; i <= ref->count; i++)
        lua_rawgeti(L, index + 2, i);
    lua_remove(L, index + 2);
    return ref->count + 1;
}
