/* A WebSocket goes on in the next generation: its connection, its subscriptions and the messages it
 * has not handled stay as they are; ws.data and what ws:on_handoff gives travel as plain data. See
 * wsock.h. */
#include "base/log.h"
#include "base/mem.h"
#include "http/guest.h"
#include "http/http_server.h"
#include "push/wsock.h"
#include "push/wsub.h"
#include "task/call.h"
#include "task/task.h"
#include "task/vm.h"
#include "value/value.h"
#include "web/app.h"
#include "web/request_user.h"

#include <lauxlib.h>

#define CLOSE_RELOAD 1012 /* "service restart": clients come back */

/* Where it goes. */
static struct vm *serving_vm(const struct wsock *wsock)
{
    return guest_server(&wsock->ws.guest)->owner;
}

bool wsock_is_left_behind(const struct wsock *wsock)
{
    return ws_is_open(&wsock->ws) && serving_vm(wsock) != wsock->vm;
}

bool wsock_is_leaving(const struct wsock *wsock)
{
    return wsock->has_on_handoff && wsock_is_left_behind(wsock);
}

/* ---- over to the next Lua state ---- */

struct move {
    struct wsock *wsock;
    struct vm *to;
    const struct route *route; /* there */
    struct bytes data;         /* ws.data, packed; len 0: not used */
    const struct bytes *handoff;
};

static bool wsock_travel_refuse(struct wsock *wsock, const char *reason)
{
    log_warn("websocket closed by the reload: %s", reason);
    wsock_close(wsock, CLOSE_RELOAD, "reload");
    return false;
}

/* Whether the same route is there, and of the same style. */
static bool find_place(struct move *move)
{
    struct wsock *wsock = move->wsock;
    const struct app *app = move->to->app;
    int number = wsock->ws.guest.route; /* always in the numbers of the one that serves */
    if (number == 0 || number > app->count)
        return wsock_travel_refuse(wsock, "its route is gone");
    move->route = &app->routes[number];
    if (wsock->is_feed)
        return true;
    if (move->route->ws_ref == LUA_NOREF || move->route->ws_has_callbacks != wsock->has_callbacks)
        return wsock_travel_refuse(wsock, "its route is of another kind now");
    return true;
}

static bool pack_data(struct move *move)
{
    struct wsock *wsock = move->wsock;
    lua_State *L = wsock->vm->L;
    char error[VALUE_ERROR_SIZE];
    int err = 0;
    if (wsock_push_kept(L, wsock, WSOCK_DATA) != LUA_TNIL)
        err = value_write_named(L, -1, "ws.data", &move->data, error);
    lua_pop(L, 1);
    return err ? wsock_travel_refuse(wsock, error) : true;
}

static void keep_data(lua_State *L, const struct wsock *wsock, enum wsock_kept which,
                      const struct bytes *data)
{
    if (!data || data->len == 0)
        return;
    value_push(L, data->data, data->len);
    wsock_keep(L, wsock, which);
}

/* In the state that it comes to. */
static int wsock_travel_unpack(lua_State *L)
{
    const struct move *move = lua_touserdata(L, 1);
    keep_data(L, move->wsock, WSOCK_DATA, &move->data);
    keep_data(L, move->wsock, WSOCK_HANDOFF, move->handoff);
    return 0;
}

static void change_vm(struct wsock *wsock, const struct move *move)
{
    struct vm *to = move->to;
    wsock_wake_all(wsock); /* for tasks of the old state it is closed */
    wsock_forget(wsock, wsock->vm->L);
    wsock_set_spec(wsock, wsock->is_feed ? LUA_NOREF : move->route->ws_ref, false);
    wsock->has_on_handoff = false;
    wsub_move_all(wsock, to);
    wsock->vm->websockets--;
    to->websockets++;
    wsock->vm = to;
}

bool wsock_move(struct wsock *wsock, const struct bytes *handoff)
{
    struct move move = {.wsock = wsock, .to = serving_vm(wsock), .handoff = handoff};
    bool is_moved = find_place(&move) && pack_data(&move);
    if (is_moved &&
        call_protected(move.to, wsock_travel_unpack, &move, "a websocket's data") != 0) {
        wsock_forget(wsock, move.to->L);
        is_moved = wsock_travel_refuse(wsock, "not enough memory");
    }
    bytes_deinit(&move.data);
    if (is_moved)
        change_vm(wsock, &move);
    return is_moved;
}

void wsock_follow(struct wsock *wsock)
{
    if (!wsock_is_left_behind(wsock))
        return;
    if (wsock_is_leaving(wsock))
        wsock_wake_all(wsock); /* ws:recv says "reload" */
    else if (!wsock->task)
        wsock_move(wsock, NULL);
}

/* ---- with its handler ---- */

static void handoff_free(struct bytes *handoff)
{
    bytes_deinit(handoff);
    mem_free(handoff);
}

static int handoff_returned(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct wsock *wsock = (struct wsock *)context; /* lives as long as its task */
    struct request *rq = task_of(L)->owner;
    char error[VALUE_ERROR_SIZE];
    if (!wsock_is_left_behind(wsock))
        return 0;
    struct bytes *handoff = mem_calloc(sizeof(*handoff));
    if (value_write_named(L, -1, "ws.handoff", handoff, error) == 0) {
        request_user(rq)->handoff =
            handoff; /* handler.c takes it from there, now that Lua is through */
        return 0;
    }
    handoff_free(handoff); /* as far as it came */
    wsock_travel_refuse(wsock, error);
    return 0;
}

int wsock_depart(lua_State *L, struct wsock *wsock)
{
    if (!wsock_is_leaving(wsock))
        return 0;
    wsock_push_kept(L, wsock, WSOCK_ON_HANDOFF);
    lua_callk(L, 0, 1, (lua_KContext)wsock, handoff_returned);
    return handoff_returned(L, LUA_OK, (lua_KContext)wsock);
}

struct task *wsock_arrive(struct request *rq, int *argc)
{
    struct wsock *wsock = request_user(rq)->thing;
    struct bytes *handoff = request_user(rq)->handoff;
    struct task *task = NULL;
    request_user(rq)->handoff = NULL;
    if (!wsock->end && wsock_move(wsock, handoff))
        task = task_new(wsock->vm, "websocket");
    handoff_free(handoff);
    if (!task) {
        request_user(rq)->kind = request_user(rq)->thing = NULL;
        wsock_close(wsock, CLOSE_RELOAD, "reload");
        wsock_task_ended(wsock);
        return NULL;
    }
    wsock_task_begins(wsock, task);
    lua_pushcfunction(task->co, wsock_reply_again);
    lua_pushlightuserdata(task->co, rq);
    lua_pushlightuserdata(task->co, wsock);
    *argc = 2;
    return task;
}
