/* Visits: see visit.h. */
#include "push/visit.h"

#include "base/log.h"
#include "push/events.h"
#include "push/live_reply.h"
#include "push/poll.h"
#include "push/wsock.h"
#include "task/call.h"
#include "task/task.h"
#include "task/vm.h"
#include "value/binding.h"
#include "value/value.h"
#include "web/bind_request.h"
#include "web/reply_head.h"

#include <lauxlib.h>

static int park_client(lua_State *L, struct request *rq, int index)
{
    bool is_poll = reply_head_field(L, index, "poll") != LUA_TNIL;
    lua_pop(L, 1);
    return is_poll ? poll_reply(L, rq, index) : events_reply(L, rq, index);
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
    bool is_poll = reply_head_field(L, index, "poll") != LUA_TNIL;
    if (!is_poll) {
        lua_pop(L, 1);
        reply_head_field(L, index, "events");
    }
    lua_pushstring(L, is_poll ? "poll" : "sse");
    lua_insert(L, -2);
    bind_request_push(L, rq); /* stack: object, begin, transport, topics, request */
    lua_callk(L, 3, 1, (lua_KContext)rq, agreed);
    return agreed(L, LUA_OK, (lua_KContext)rq);
}

int visit_take(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TTABLE)
        return 0;
    lua_pushvalue(L, index);
    int visits = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushboolean(L, 1);
    lua_setfield(L, index, "is_taken"); /* visits.lua has set it to false: this does not raise */
    return visits;
}

int visit_take_of(lua_State *L, int index)
{
    reply_head_field(L, index, "visits");
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
    } else {
        log_error("topic:on leave: not enough memory, nobody was told that a client has left");
    }
    luaL_unref(vm->L, LUA_REGISTRYINDEX, visits);
}

/* ---- from one state to the next ---- */

struct visit_move {
    struct vm *from;
    struct vm *to;
    int visits; /* in the one, then in the other */
    slot_handle websocket;
    struct bytes data;
    char error[VALUE_ERROR_SIZE];
};

static int visit_pack(lua_State *L)
{
    struct visit_move *move = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm_of(L)->visit_pack_ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, move->visits);
    lua_call(L, 1, 1);
    value_write_named(L, -1, "visit", &move->data, move->error);
    return 0;
}

static int visit_unpack(lua_State *L)
{
    struct visit_move *move = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm_of(L)->visit_unpack_ref);
    value_push(L, move->data.data, move->data.len);
    if (move->websocket)
        wsock_push(L, move->websocket);
    else
        lua_pushnil(L);
    lua_call(L, 2, 1);
    if (!lua_isnil(L, -1))
        move->visits = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

void visit_move(struct vm *from, int *visits, struct vm *to, slot_handle websocket)
{
    struct visit_move move = {.from = from, .to = to, .visits = *visits, .websocket = websocket};
    if (*visits == 0)
        return;
    int err = call_protected(from, visit_pack, &move, "topic:on");
    *visits = 0;
    if (err || move.data.len == 0) {
        log_warn("reload: %s: for the next generation this client is not there",
                 err ? "its visits could not be read" : move.error);
        visit_end(from, move.visits);
        bytes_deinit(&move.data);
        return;
    }
    luaL_unref(from->L, LUA_REGISTRYINDEX, move.visits);
    move.visits = 0;
    if (to->visit_begin_ref) /* else nobody watches any more */
        call_protected(to, visit_unpack, &move, "topic:on");
    *visits = move.visits;
    bytes_deinit(&move.data);
}

/* core.watch_visits(begin, leave, pack, unpack): begin(transport, topics, req) -> visits or nil;
 * leave(visits); pack(visits) -> plain data; unpack(data, ws) -> visits or nil */
static int core_watch_visits(lua_State *L)
{
    struct vm *vm = vm_of(L);
    for (int i = 1; i <= 4; i++)
        luaL_checktype(L, i, LUA_TFUNCTION);
    lua_settop(L, 4);
    vm->visit_unpack_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    vm->visit_pack_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    vm->visit_leave_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    vm->visit_begin_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static int bind_visit(lua_State *L)
{
    lua_pushcfunction(L, core_watch_visits);
    lua_setfield(L, -2, "watch_visits");
    return 0;
}

BINDING(bind_visit)
