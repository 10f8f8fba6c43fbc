/* core.task.crew: what lua/neap/task/group.lua is made of. See crew.h. */
#include "base/list.h"
#include "task/bind_task.h"
#include "task/crew.h"
#include "task/task.h"
#include "task/task_ref.h"
#include "task/vm.h"

#include <lauxlib.h>

#define CREW_TYPE "neap.crew"
#define CREW_FAILED 1 /* user value: the reference to the first that failed */
#define CREW_ANY 0    /* threshold of a wait that ends with the next end of a member */

struct crew {
    struct list members; /* task_ref.sibling */
    struct list waits;   /* their `result` is the number that fewer must live than */
    lua_Integer live;
    bool has_failed;
    bool is_closing; /* nobody would raise another error */
};

struct crew *crew_check(lua_State *L, int index)
{
    return luaL_checkudata(L, index, CREW_TYPE);
}

bool crew_wants_failure(const struct crew *crew)
{
    return !crew->has_failed && !crew->is_closing;
}

void crew_join(struct crew *crew, struct task_ref *ref)
{
    ref->crew = crew;
    list_push(&crew->members, &ref->sibling);
    crew->live++;
}

static void cancel_members(lua_State *L, struct crew *crew)
{
    list_each (link, &crew->members) {
        struct task *task = task_ref_task(L, container_of(link, struct task_ref, sibling));
        if (task != NULL)
            task_cancel(task); /* ends nobody at once: the list stays */
    }
}

static void wake_waits(struct crew *crew)
{
    struct list all;
    struct list *link;
    list_take(&all, &crew->waits);
    while ((link = list_shift(&all)) != NULL) {
        struct wait *wait = container_of(link, struct wait, link);
        if (wait->result == CREW_ANY || crew->live < wait->result || crew->has_failed)
            task_wake_wait(wait, 0);
        else
            list_push(&crew->waits, link);
    }
}

/* stack: ..., ref */
static void note_failure(lua_State *L, struct crew *crew)
{
    crew->has_failed = true;
    lua_getiuservalue(L, -1, TASK_REF_CREW);
    lua_pushvalue(L, -2);
    lua_setiuservalue(L, -2, CREW_FAILED);
    lua_pop(L, 1);
    cancel_members(L, crew);
}

void crew_leave(lua_State *L, struct task_ref *ref)
{
    struct crew *crew = ref->crew;
    ref->crew = NULL;
    list_remove(&ref->sibling);
    crew->live--;
    if (ref->outcome == TASK_REF_FAILED && crew_wants_failure(crew))
        note_failure(L, crew);
    wake_waits(crew);
}

/* ---- for Lua ---- */

static int crew_new(lua_State *L) /* crew() -> c */
{
    struct crew *crew = lua_newuserdatauv(L, sizeof(*crew), 1);
    *crew = (struct crew){.live = 0};
    list_init(&crew->members);
    list_init(&crew->waits);
    luaL_setmetatable(L, CREW_TYPE);
    return 1;
}

static int crew_spawn(lua_State *L) /* c:spawn(about, fn, ...) -> t, named after `about` */
{
    crew_check(L, 1);
    return task_ref_spawn(L, 2, 3, 1, false);
}

static int push_has_failed(lua_State *L, const struct crew *crew)
{
    lua_pushboolean(L, crew->has_failed);
    return 1;
}

static int finish_wait_for(lua_State *L, struct wait *wait)
{
    return push_has_failed(L, wait->source);
}

static int wait_for(lua_State *L, struct crew *crew, lua_Integer fewer_than)
{
    struct wait *wait = task_wait(L);
    wait->source = crew; /* on the stack, and so alive */
    wait->finish = finish_wait_for;
    wait->result = (intptr_t)fewer_than;
    list_push(&crew->waits, &wait->link);
    return task_park(L, WAIT_FOREVER);
}

/* c:wait(n) -> has one failed?; until fewer than n live, or so. */
static int crew_wait(lua_State *L)
{
    struct crew *crew = crew_check(L, 1);
    lua_Number fewer_than = luaL_checknumber(L, 2);
    luaL_argcheck(L, fewer_than >= 1, 2, "at least 1");
    if ((lua_Number)crew->live < fewer_than || crew->has_failed)
        return push_has_failed(L, crew);
    return wait_for(L, crew, (lua_Integer)fewer_than);
}

static int crew_wait_any(lua_State *L) /* c:wait_any() -> likewise; until one more has ended */
{
    struct crew *crew = crew_check(L, 1);
    return crew->live > 0 ? wait_for(L, crew, CREW_ANY) : push_has_failed(L, crew);
}

static int crew_cancel(lua_State *L) /* c:cancel() */
{
    cancel_members(L, crew_check(L, 1));
    return 0;
}

static int crew_take_failure(lua_State *L) /* c:take_failure() -> t | nil; and forgets it */
{
    struct crew *crew = crew_check(L, 1);
    lua_getiuservalue(L, 1, CREW_FAILED);
    lua_pushnil(L);
    lua_setiuservalue(L, 1, CREW_FAILED);
    crew->has_failed = false;
    return 1;
}

/* c:close(): errors are logged from now on, nobody asks for them. */
static int crew_close(lua_State *L)
{
    crew_check(L, 1)->is_closing = true;
    return 0;
}

static int crew_len(lua_State *L) /* #c: how many live */
{
    lua_pushinteger(L, crew_check(L, 1)->live);
    return 1;
}

int bind_task_crew(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"spawn", crew_spawn},
        {"wait", crew_wait},
        {"wait_any", crew_wait_any},
        {"cancel", crew_cancel},
        {"take_failure", crew_take_failure},
        {"close", crew_close},
        {NULL, NULL},
    };
    luaL_newmetatable(L, CREW_TYPE);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, crew_len);
    lua_setfield(L, -2, "__len");
    lua_pop(L, 1);
    lua_pushcfunction(L, crew_new);
    lua_setfield(L, -2, "crew");
    return 0;
}
