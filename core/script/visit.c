/* Visits: see visit.h. */
#include "script/visit.h"

#include "script/bind_request.h"
#include "script/core.h"
#include "script/live_reply.h"
#include "script/reply_head.h"
#include "script/task.h"
#include "script/vm.h"

#include <lauxlib.h>

static int park_client(lua_State *L, struct request *rq, int index)
{
    bool is_poll = reply_field(L, index, "poll") != LUA_TNIL;
    lua_pop(L, 1);
    return is_poll ? reply_poll(L, rq, index) : reply_events(L, rq, index);
}

/* Stack: object, visits or nil. Those that nobody takes end with this call. */
static int agreed(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    int visits = lua_gettop(L);
    lua_toclose(L, visits);
    lua_pushliteral(L, "visits");
    lua_pushvalue(L, visits);
    lua_rawset(L, visits - 1);
    return park_client(L, (struct request *)context, visits - 1);
}

int visit_reply(lua_State *L, struct request *rq, int index)
{
    int begin_ref = vm_of(L)->visit_begin_ref;
    if (begin_ref == 0)
        return park_client(L, rq, index);
    lua_pushvalue(L, index);
    lua_rawgeti(L, LUA_REGISTRYINDEX, begin_ref);
    bool is_poll = reply_field(L, index, "poll") != LUA_TNIL;
    if (!is_poll) {
        lua_pop(L, 1);
        reply_field(L, index, "events");
    }
    lua_pushstring(L, is_poll ? "poll" : "sse");
    lua_insert(L, -2);
    request_push(L, rq); /* stack: object, begin, transport, topics, request */
    lua_callk(L, 3, 1, (lua_KContext)rq, agreed);
    return agreed(L, LUA_OK, (lua_KContext)rq);
}

int visit_take(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TTABLE)
        return 0;
    lua_pushvalue(L, index);
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "is_taken");
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

int visit_take_of(lua_State *L, int index)
{
    reply_field(L, index, "visits");
    int visits = visit_take(L, lua_gettop(L));
    lua_pop(L, 1);
    return visits;
}

void visit_end(struct vm *vm, int visits)
{
    if (visits == 0)
        return;
    struct task *task = task_new(vm, "topic:on leave");
    if (task) {
        lua_rawgeti(task->co, LUA_REGISTRYINDEX, vm->visit_leave_ref);
        lua_rawgeti(task->co, LUA_REGISTRYINDEX, visits);
        task_start_later(task, 1);
    }
    luaL_unref(vm->L, LUA_REGISTRYINDEX, visits);
}

/* core.watch_visits(begin, leave): begin(transport, topics, req) -> visits or nil; leave(visits) */
static int core_watch_visits(lua_State *L)
{
    struct vm *vm = vm_of(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    vm->visit_leave_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    vm->visit_begin_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

int bind_visit(lua_State *L)
{
    lua_pushcfunction(L, core_watch_visits);
    lua_setfield(L, -2, "watch_visits");
    return 0;
}
