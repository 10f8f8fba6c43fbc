/* A WebSocket as Lua has it: see wsock.h. Callbacks run in a task that takes one message after the
 * other; between messages no coroutine is held. */
#include "script/wsock.h"

#include "base/alloc.h"
#include "http/session.h"
#include "script/handover.h"
#include "script/task.h"
#include "script/vm.h"

#include <lauxlib.h>
#include <string.h>

struct queued {
    uint32_t len;
    bool is_text;
};

struct wsock *wsock_find(struct vm *vm, slot_handle handle)
{
    struct wsock *wsock = slots_get(vm->options.websockets, handle);
    return wsock && wsock->vm == vm ? wsock : NULL; /* else it has gone over to the next */
}

void wsock_unref_all(struct wsock *wsock)
{
    int *refs[] = {&wsock->spec_ref, &wsock->data_ref, &wsock->on_handoff_ref, &wsock->handoff_ref};
    for (size_t i = 0; i < sizeof(refs) / sizeof(*refs); i++) {
        if (*refs[i])
            luaL_unref(wsock->vm->L, LUA_REGISTRYINDEX, *refs[i]); /* ignores LUA_NOREF */
        *refs[i] = 0;
    }
}

static void wsock_free(struct wsock *wsock)
{
    wsub_close_all(wsock);
    wsock->vm->websockets--;
    slots_take(wsock->vm->options.websockets, wsock->handle);
    wsock_unref_all(wsock);
    bytes_deinit(&wsock->queue);
    mem_free(wsock->reason);
    mem_free(wsock);
}

/* ---- the queue ---- */

static void queue_put(struct wsock *wsock, const char *data, size_t len, bool is_text)
{
    struct queued queued = {(uint32_t)len, is_text};
    bytes_append(&wsock->queue, &queued, sizeof(queued));
    bytes_append(&wsock->queue, data, len);
    if (wsock->queue.len <= WSOCK_QUEUE_MAX || wsock->is_paused)
        return;
    wsock->is_paused = true;
    ws_pause(wsock->ws);
}

static size_t queue_len(const struct wsock *wsock)
{
    return wsock->queue.len - wsock->taken;
}

/* Idle sockets hold no buffer. */
static void queue_clear(struct wsock *wsock)
{
    bytes_deinit(&wsock->queue);
    wsock->taken = 0;
}

int wsock_push_message(lua_State *L, struct wsock *wsock)
{
    struct queued queued;
    if (queue_len(wsock) == 0)
        return 0;
    const char *at = wsock->queue.data + wsock->taken;
    memcpy(&queued, at, sizeof(queued));
    lua_pushlstring(L, at + sizeof(queued), queued.len);
    lua_pushstring(L, queued.is_text ? "text" : "binary");
    wsock->taken += sizeof(queued) + queued.len;
    if (queue_len(wsock) == 0) {
        queue_clear(wsock);
        if (wsock->is_paused && wsock->ws) {
            wsock->is_paused = false;
            ws_resume(wsock->ws);
        }
    }
    return 2;
}

/* ---- tasks ---- */

static bool push_callback(lua_State *L, const struct wsock *wsock, const char *name)
{
    if (wsock->is_feed)
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, wsock->spec_ref);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
    return lua_isfunction(L, -1);
}

/* Calls `message` for what is queued, then `close` when it is the end. Stack: the handle's
 * userdata. */
static int callbacks_next(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct wsock *wsock = (struct wsock *)context; /* lives as long as its task */
    for (;;) {
        lua_settop(L, 1);
        if (wsock_is_left_behind(wsock))
            return 0; /* the next generation has its own callbacks */
        if (queue_len(wsock) > 0 && push_callback(L, wsock, "message")) {
            lua_pushvalue(L, 1);
            wsock_push_message(L, wsock);
            lua_callk(L, 3, 0, context, callbacks_next);
            continue;
        }
        queue_clear(wsock);
        if (!wsock->owes_close)
            return 0;
        wsock->owes_close = false;
        if (!push_callback(L, wsock, "close"))
            return 0;
        lua_pushvalue(L, 1);
        lua_pushinteger(L, wsock->code);
        lua_pushlstring(L, wsock->reason ? wsock->reason : "", wsock->reason_len);
        lua_callk(L, 3, 0, context, callbacks_next);
    }
}

static int callbacks_main(lua_State *L)
{
    struct wsock *wsock = lua_touserdata(L, 1);
    lua_settop(L, 0);
    wsock_push(L, wsock->handle);
    return callbacks_next(L, LUA_OK, (lua_KContext)wsock);
}

static void callbacks_ended(struct task *task, int status)
{
    struct wsock *wsock = task->owner;
    if (status != LUA_OK)
        wsock_close_failed(wsock, task->is_cancelled);
    wsock_task_ended(wsock);
}

void wsock_close_failed(struct wsock *wsock, bool is_cancelled)
{
    if (!is_cancelled)
        wsock_close(wsock, 1011, "the handler failed");
    else if (wsock_is_left_behind(wsock))
        wsock_close(wsock, 1012, "reload");
    else
        wsock_close(wsock, 1001, "going away");
}

static void start_callbacks(struct wsock *wsock, bool is_later)
{
    struct task *task = task_new(wsock->vm, "websocket");
    if (!task) {
        wsock_close(wsock, 1011, "out of memory");
        return;
    }
    task->kind = "websocket";
    task->owner = wsock;
    task->on_end = callbacks_ended;
    wsock->task = task;
    lua_pushcfunction(task->co, callbacks_main);
    lua_pushlightuserdata(task->co, wsock);
    if (is_later)
        task_start_later(task, 1);
    else
        task_start(task, 1); /* wsock can be gone after this */
}

void wsock_task_begins(struct wsock *wsock, struct task *task)
{
    wsock->task = task;
}

void wsock_task_ended(struct wsock *wsock)
{
    wsock->task = NULL;
    if (wsock->has_callbacks && wsock_is_left_behind(wsock))
        wsock_move(wsock, NULL);
    if (wsock->has_callbacks && (queue_len(wsock) > 0 || wsock->owes_close))
        start_callbacks(wsock, true);
    else if (!wsock->ws)
        wsock_free(wsock);
}

/* ---- what the connection tells ---- */

static void wake_reader(struct wsock *wsock)
{
    struct wait *wait = wsock->reader;
    wsock->reader = NULL;
    if (wait)
        wait_wake(wait, 0);
}

static void wake_writers(struct wsock *wsock)
{
    struct list *link;
    while ((link = list_shift(&wsock->writers)))
        wait_wake(container_of(link, struct wait, link), 0);
}

void wsock_wake_all(struct wsock *wsock)
{
    wake_reader(wsock);
    wake_writers(wsock);
}

static void on_message(struct websocket *ws, const char *data, size_t len, bool is_text)
{
    struct wsock *wsock = ws_owner(ws);
    queue_put(wsock, data, len, is_text);
    if (!wsock->has_callbacks)
        wake_reader(wsock);
    else if (!wsock->task)
        start_callbacks(wsock, false);
}

static void on_drained(struct websocket *ws)
{
    struct wsock *wsock = ws_owner(ws);
    wake_writers(wsock);
    wsub_resume_all(wsock);
}

static void on_close(struct websocket *ws, int code, const char *reason, size_t len)
{
    struct wsock *wsock = ws_owner(ws);
    wsock->ws = NULL;
    wsock->code = (uint16_t)code;
    wsock->reason = len > 0 ? mem_strndup(reason, len) : NULL;
    wsock->reason_len = (uint32_t)len;
    wsock->owes_close = wsock->has_callbacks;
    wsub_close_all(wsock);
    wsock_wake_all(wsock);
    if (wsock->task)
        return;
    if (wsock->has_callbacks)
        start_callbacks(wsock, true);
    else
        wsock_free(wsock);
}

static void on_new_owner(struct websocket *ws)
{
    wsock_follow(ws_owner(ws));
}

static const struct ws_events wsock_events = {on_message, on_drained, on_new_owner, on_close};

/* ---- life ---- */

struct wsock *wsock_open(struct vm *vm, struct request *rq, const struct wsock_plan *plan)
{
    struct wsock *wsock = mem_calloc(sizeof(*wsock));
    wsock->vm = vm;
    wsock->spec_ref = plan->spec_ref;
    wsock->has_callbacks = plan->has_callbacks;
    wsock->is_feed = plan->is_feed;
    list_init(&wsock->writers);
    list_init(&wsock->subs);
    wsock->handle = slots_put(vm->options.websockets, wsock);
    vm->websockets++;
    wsock->ws = ws_accept(rq, plan->options, &wsock_events, plan->protocol, wsock);
    if (wsock->ws) {
        handover_renumber(ws_guest(wsock->ws), vm);
        return wsock;
    }
    wsock_free(wsock);
    return NULL;
}

void wsock_close(struct wsock *wsock, int code, const char *reason)
{
    if (wsock->ws)
        ws_close(wsock->ws, code, reason, strlen(reason));
}
