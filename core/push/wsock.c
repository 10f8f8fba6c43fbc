/* A WebSocket as Lua has it: see wsock.h. Callbacks run in a task that takes one message after the
 * other; between messages no coroutine is held. */
#include "push/wsock.h"

#include "base/log.h"
#include "base/mem.h"
#include "http/session.h"
#include "push/wsub.h"
#include "task/task.h"
#include "task/vm.h"
#include "web/app.h"
#include "web/request_user.h"

#include <lauxlib.h>
#include <string.h>

struct wsock *wsock_find(struct vm *vm, slot_handle handle)
{
    struct wsock *wsock = slots_get(vm->options.websockets, handle);
    return wsock && wsock->vm == vm ? wsock : NULL; /* else it has gone over to the next */
}

static struct wsock *wsock_of(struct websocket *ws)
{
    return container_of(ws, struct wsock, ws);
}

/* ---- what Lua keeps: in the registry, by addresses inside of the socket, so that it costs nothing
 * where there is nothing ---- */

static const void *key_of(const struct wsock *wsock, enum wsock_kept which)
{
    return (const char *)wsock + which;
}

void wsock_keep(lua_State *L, const struct wsock *wsock, enum wsock_kept which)
{
    lua_rawsetp(L, LUA_REGISTRYINDEX, key_of(wsock, which));
}

int wsock_push_kept(lua_State *L, const struct wsock *wsock, enum wsock_kept which)
{
    return lua_rawgetp(L, LUA_REGISTRYINDEX, key_of(wsock, which));
}

void wsock_forget(const struct wsock *wsock, lua_State *L)
{
    for (enum wsock_kept which = 0; which < WSOCK_KEPT; which++) {
        lua_pushnil(L);
        wsock_keep(L, wsock, which);
    }
}

void wsock_set_spec(struct wsock *wsock, int spec_ref, bool owns_spec)
{
    if (wsock->owns_spec)
        luaL_unref(wsock->vm->L, LUA_REGISTRYINDEX, wsock->spec_ref);
    wsock->spec_ref = spec_ref;
    wsock->owns_spec = owns_spec;
}

/* ---- messages that wait ---- */

static void received_put(struct wsock *wsock, const char *data, size_t len, bool is_text)
{
    struct wsock_message *last = wsock->received;
    struct wsock_message *message = mem_alloc(sizeof(*message) + len);
    message->next = last ? last->next : message;
    message->len = (uint32_t)len;
    message->is_text = is_text;
    memcpy(message->data, data, len);
    if (last)
        last->next = message;
    wsock->received = message;
    wsock->received_bytes += (uint32_t)(sizeof(*message) + len);
    if (wsock->received_bytes > WSOCK_QUEUE_MAX)
        ws_pause(&wsock->ws);
}

static void received_drop(struct wsock *wsock)
{
    struct wsock_message *last = wsock->received;
    struct wsock_message *first = last->next;
    last->next = first->next;
    if (first == last)
        wsock->received = NULL;
    wsock->received_bytes -= (uint32_t)(sizeof(*first) + first->len);
    mem_free(first);
    if (!wsock->received)
        ws_resume(&wsock->ws); /* if it was paused */
}

static void received_clear(struct wsock *wsock)
{
    while (wsock->received)
        received_drop(wsock);
}

int wsock_push_message(lua_State *L, struct wsock *wsock)
{
    if (!wsock->received)
        return 0;
    const struct wsock_message *first = wsock->received->next;
    lua_pushlstring(L, first->data, first->len);
    lua_pushstring(L, first->is_text ? "text" : "binary");
    received_drop(wsock);
    return 2;
}

/* ---- the end of its memory ---- */

static void wsock_free(struct wsock *wsock)
{
    wsub_close_all(wsock);
    wsock->vm->websockets--;
    slots_take(wsock->vm->options.websockets, wsock->handle);
    wsock_forget(wsock, wsock->vm->L);
    wsock_set_spec(wsock, LUA_NOREF, false);
    received_clear(wsock);
    mem_free(wsock->end);
    mem_free(wsock);
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

/* Whether the callback `close` has to be called. */
static bool owes_close(const struct wsock *wsock)
{
    return wsock->has_callbacks && wsock->end && !wsock->end->is_told;
}

/* Calls `message` for what is queued, then `close` when it is the end. Stack: the handle's
 * userdata. */
static int callbacks_next(lua_State *L, int status, lua_KContext context);

static int callbacks_again(lua_State *L, struct wait *wait)
{
    return callbacks_next(L, LUA_OK, (lua_KContext)wait->source);
}

/* Others have their turn between two messages. */
static int callbacks_pause(lua_State *L, struct wsock *wsock)
{
    struct wait *wait = task_wait(L);
    wait->finish = callbacks_again;
    wait->source = wsock;
    return task_pause(L, wait);
}

static int callbacks_next(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct wsock *wsock = (struct wsock *)context; /* lives as long as its task */
    for (;;) {
        lua_settop(L, 1);
        if (wsock_is_left_behind(wsock))
            return 0; /* the next generation has its own callbacks */
        if (wsock->received && task_had_enough(L, 0))
            return callbacks_pause(L, wsock);
        if (wsock->received && push_callback(L, wsock, "message")) {
            lua_pushvalue(L, 1);
            wsock_push_message(L, wsock);
            lua_callk(L, 3, 0, context, callbacks_next);
            continue;
        }
        received_clear(wsock);
        if (!owes_close(wsock))
            return 0;
        wsock->end->is_told = true;
        if (!push_callback(L, wsock, "close"))
            return 0;
        lua_pushvalue(L, 1);
        lua_pushinteger(L, wsock->end->code);
        lua_pushlstring(L, wsock->end->reason, wsock->end->reason_len);
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
    if (!task && wsock->end) { /* nobody else would free it */
        log_error("websocket: not enough memory, its callback `close` was not called");
        wsock_free(wsock);
        return;
    }
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

void wsock_leave(struct request *rq, const struct task *task, int status)
{
    struct wsock *wsock = request_user(rq)->thing;
    request_user(rq)->kind = request_user(rq)->thing = NULL;
    if (status != LUA_OK)
        wsock_close_failed(wsock, task->is_cancelled);
    else if (!wsock->has_callbacks)
        wsock_close(wsock, 1000, "");
    wsock_task_ended(wsock);
}

void wsock_task_begins(struct wsock *wsock, struct task *task)
{
    wsock->task = task;
}

/* Its state is being cut: callbacks that are owed to it would be cut in turn, for ever. */
static void forget_owed(struct wsock *wsock)
{
    received_clear(wsock);
    if (wsock->end)
        wsock->end->is_told = true;
}

void wsock_task_ended(struct wsock *wsock)
{
    wsock->task = NULL;
    if (vm_loses(wsock->vm, VM_LOSES_WEBSOCKET))
        return;
    if (wsock->vm->is_cut)
        forget_owed(wsock);
    if (wsock->has_callbacks && wsock_is_left_behind(wsock))
        wsock_move(wsock, NULL);
    if (wsock->has_callbacks && (wsock->received || owes_close(wsock)))
        start_callbacks(wsock, true);
    else if (wsock->end)
        wsock_free(wsock);
}

/* ---- who waits ---- */

/* NULL: nobody is in ws:recv. */
static struct wait *reader_of(const struct wsock *wsock)
{
    if (list_is_empty(&wsock->waits))
        return NULL;
    struct wait *first = container_of(wsock->waits.next, struct wait, link);
    return first->source == &wsock->received ? first : NULL;
}

bool wsock_has_reader(const struct wsock *wsock)
{
    return reader_of(wsock) != NULL;
}

void wsock_await_message(struct wsock *wsock, struct wait *wait)
{
    wait->source = &wsock->received;
    wait->conn = ws_conn(&wsock->ws);
    list_push(wsock->waits.next, &wait->link); /* in front */
}

void wsock_await_room(struct wsock *wsock, struct wait *wait)
{
    wait->source = wsock;
    list_push(&wsock->waits, &wait->link);
}

static void wake_reader(struct wsock *wsock)
{
    struct wait *reader = reader_of(wsock);
    if (reader)
        task_wake_wait(reader, 0);
}

static void wake_writers(struct wsock *wsock)
{
    struct wait *reader = reader_of(wsock);
    struct list *before = reader ? &reader->link : &wsock->waits;
    while (before->next != &wsock->waits)
        task_wake_wait(container_of(before->next, struct wait, link), 0);
}

void wsock_wake_all(struct wsock *wsock)
{
    wake_reader(wsock);
    wake_writers(wsock);
}

/* ---- what the connection tells ---- */

static void on_message(struct websocket *ws, const char *data, size_t len, bool is_text)
{
    struct wsock *wsock = wsock_of(ws);
    received_put(wsock, data, len, is_text);
    if (!wsock->has_callbacks)
        wake_reader(wsock);
    else if (!wsock->task)
        start_callbacks(wsock, false);
}

static void wsock_on_drained(struct websocket *ws)
{
    struct wsock *wsock = wsock_of(ws);
    wake_writers(wsock);
    wsub_resume_all(wsock);
}

static struct wsock_end *end_new(int code, const char *reason, size_t len)
{
    struct wsock_end *end = mem_alloc(sizeof(*end) + len);
    *end = (struct wsock_end){.code = (uint16_t)code, .reason_len = len};
    if (len > 0)
        memcpy(end->reason, reason, len);
    return end;
}

static void on_close(struct websocket *ws, int code, const char *reason, size_t len)
{
    struct wsock *wsock = wsock_of(ws);
    wsock->end = end_new(code, reason, len);
    wsub_close_all(wsock);
    wsock_wake_all(wsock);
    if (wsock->task)
        return;
    if (wsock->has_callbacks)
        start_callbacks(wsock, true);
    else
        wsock_free(wsock);
}

static void wsock_on_new_owner(struct websocket *ws)
{
    wsock_follow(wsock_of(ws));
}

static const struct ws_events wsock_events = {on_message, wsock_on_drained, wsock_on_new_owner,
                                              on_close};

/* ---- life ---- */

struct wsock *wsock_open(struct vm *vm, struct request *rq, const struct wsock_plan *plan)
{
    struct wsock *wsock = mem_calloc(sizeof(*wsock));
    wsock->vm = vm;
    wsock->spec_ref = plan->spec_ref;
    wsock->owns_spec = plan->owns_spec;
    wsock->has_callbacks = plan->has_callbacks;
    wsock->is_feed = plan->is_feed;
    list_init(&wsock->waits);
    wsock->handle = slots_put(vm->options.websockets, wsock);
    vm->websockets++;
    if (!ws_accept(&wsock->ws, rq, plan->options, &wsock_events, plan->protocol)) {
        wsock_free(wsock);
        return NULL;
    }
    app_renumber_guest(&wsock->ws.guest, vm);
    return wsock;
}

void wsock_close(struct wsock *wsock, int code, const char *reason)
{
    ws_close(&wsock->ws, code, reason, strlen(reason));
}

void wsock_take(struct wsock *wsock)
{
    wsock->task = NULL;
    wsock->has_callbacks = false; /* nobody is told */
    if (wsock->end)
        wsock_free(wsock);
    else
        conn_close(ws_conn(&wsock->ws)); /* on_close frees it */
}
