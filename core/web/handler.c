/* Runs the application's handlers: see handler.h. The request stays in memory as long as its task,
 * so the pointer in task->owner is always good; everything else in Lua holds a handle. */
#include "web/handler.h"

#include "base/log.h"
#include "http/response.h"
#include "task/call.h"
#include "task/task.h"
#include "task/vm.h"
#include "web/app.h"
#include "web/bind_request.h"
#include "web/bind_stream.h"
#include "web/reply.h"
#include "web/request_body.h"
#include "web/request_user.h"

#include <lauxlib.h>
#include <string.h>
#include <time.h>

#define COLLECT_MAX (16 << 20) /* a larger state would hold up its worker for too long */

static struct vm *request_vm(const struct request *rq)
{
    return rq->owner;
}

static struct route *request_route(const struct request *rq)
{
    if (!rq->owner || rq->route < 0)
        return NULL;
    struct app *app = request_vm(rq)->app;
    return app && rq->route <= app->count ? &app->routes[rq->route] : NULL;
}

uint64_t handler_body_limit(const struct request *rq)
{
    const struct route *route = request_route(rq);
    return route && route->body_limit ? route->body_limit : rq->server->limits.body;
}

/* ---- the route ---- */

static void copy_params(struct request *rq, const struct router_result *found, const char *path)
{
    rq->param_count = (uint16_t)found->count;
    for (int i = 0; i < found->count; i++) {
        rq->params[i].name = found->params[i].name;
        rq->params[i].value.offset = (uint32_t)(found->params[i].value - path);
        rq->params[i].value.len = (uint32_t)found->params[i].len;
    }
}

static void find_route(struct request *rq, const struct app *app)
{
    struct router_result found;
    size_t method_len;
    size_t path_len;
    const char *method = request_method(rq, &method_len);
    const char *path = request_path(rq, &path_len);
    router_find(app->router, method, method_len, path, path_len, &found);
    rq->route = found.route > 0 ? found.route : 0;
    rq->allow = found.allow;
    if (found.route > 0)
        copy_params(rq, &found, path);
}

/* ---- in the task ---- */

static int handler_returned(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct request *rq = (struct request *)context;
    return reply_results(L, rq, 2);
}

/* The body of a request's task. Stack: request (light userdata). */
static int handler_main(lua_State *L)
{
    struct request *rq = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, request_route(rq)->handler_ref);
    bind_request_push(L, rq);
    lua_callk(L, 1, LUA_MULTRET, (lua_KContext)rq, handler_returned);
    return handler_returned(L, LUA_OK, (lua_KContext)rq);
}

static int error_page_returned(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct request *rq = (struct request *)context;
    return reply_results(L, rq, 3); /* stack: error, traceback, results */
}

static int error_logged(lua_State *L, int status, lua_KContext context)
{
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

/* The handler failed: the application's error page answers. Stack: error, traceback. */
static int handler_failed(lua_State *L, struct task *task)
{
    struct request *rq = task->owner;
    struct app *app = task->vm->app;
    const struct reply_kind *kind = request_user(rq)->kind;
    if (kind)
        kind->on_failed(rq);
    lua_settop(L, 2);
    if (app->on_error_ref == LUA_NOREF)
        return 0;
    lua_rawgeti(L, LUA_REGISTRYINDEX, app->on_error_ref);
    bind_request_push(L, rq);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    if (rq->answer != ANSWER_NONE) { /* too late for a page: it only logs */
        lua_callk(L, 3, 0, 0, error_logged);
        return 0;
    }
    lua_callk(L, 3, LUA_MULTRET, (lua_KContext)rq, error_page_returned);
    return error_page_returned(L, LUA_OK, (lua_KContext)rq);
}

/* ---- after the task ---- */

static void handler_ended(struct task *task, int status);

static void after_finish(struct request *rq)
{
    bind_request_release(request_vm(rq)->L, rq);
    http_server_free_request(rq);
}

/* The functions given to req:after run as a task of their own; the request lives until it ends. */
static void after_ended(struct task *task, int status)
{
    (void)status;
    if (!vm_loses(task->vm, VM_LOSES_REQUEST))
        after_finish(task->owner);
}

/* Calls the functions of the list at 1 in turn, from number `next`; one that fails does not skip
 * the rest. */
static int after_next(lua_State *L, int status, lua_KContext next)
{
    for (;;) {
        if (status != LUA_OK && status != LUA_YIELD) {
            if (task_is_cancel(L, -1))
                return lua_error(L);
            log_error("req:after: %.2000s", luaL_tolstring(L, -1, NULL));
        }
        lua_settop(L, 1);
        if (lua_rawgeti(L, 1, next++) == LUA_TNIL)
            return 0;
        status = lua_pcallk(L, 0, 0, 0, next, after_next);
    }
}

static int after_main(lua_State *L)
{
    return after_next(L, LUA_OK, 1);
}

static void after_start(struct request *rq)
{
    struct task *task = task_new(request_vm(rq), "req:after");
    if (!task) {
        const struct route *route = request_route(rq);
        log_error("req:after: not enough memory, nothing was called for a request to %s",
                  route ? route->name : "no route");
        after_finish(rq);
        return;
    }
    task->kind = "request";
    task->kind_id = rq->id;
    task->on_end = after_ended;
    task->owner = rq;
    lua_pushcfunction(task->co, after_main);
    lua_rawgeti(task->co, LUA_REGISTRYINDEX, request_user(rq)->after_ref);
    task_start_later(task, 1);
}

/* Runs what waits for the last byte, then lets the connection go on. */
static void handler_finish(struct request *rq)
{
    if (vm_loses(request_vm(rq), VM_LOSES_REQUEST))
        return;
    struct conn *conn = session_conn_of(rq);
    if (request_user(rq)->after_ref == 0) {
        bind_request_release(request_vm(rq)->L, rq);
        session_request_done(rq);
        return;
    }
    if (conn && rq->answer == ANSWER_ENDED) {
        conn_flush(conn);
        if (conn_unsent(conn) > 0 && !request_vm(rq)->is_hurried) {
            request_user(rq)->awaits_drain = rq->is_held = true; /* see handler_on_writable */
            return;
        }
    }
    rq->is_kept = true;
    session_request_done(rq);
    after_start(rq);
}

/* What the handler had made of the request is left to the generation that serves now: the request
 * goes along, and that one's handler takes both. */
static void handler_go_on(struct request *rq)
{
    struct vm *vm = rq->server->owner;
    const struct reply_kind *kind = request_user(rq)->kind;
    int argc;
    bind_request_release(request_vm(rq)->L, rq);
    http_server_renew_request(rq); /* the state that it leaves cannot touch it any more */
    rq->owner = vm;
    vm->requests++;
    find_route(rq, vm->app); /* names of parameters belong to a router */
    struct task *task = kind->go_on(rq, &argc);
    if (!task) {
        handler_finish(rq);
        return;
    }
    task->on_error = handler_failed;
    task->answers_errors = true;
    task->on_end = handler_ended;
    task->owner = rq;
    request_user(rq)->task = task;
    rq->is_held = true;
    task_start_later(task, argc);
}

/* The task ended: well, with an error, cancelled, or stopped. */
static void handler_ended(struct task *task, int status)
{
    struct request *rq = task->owner;
    request_user(rq)->task = NULL;
    rq->is_held = false;
    if (deadline_is_set(&request_user(rq)->timeout))
        loop_clear_deadline(task->vm->loop, &request_user(rq)->timeout);
    request_body_wake_reader(rq);
    bind_stream_wake_writer(rq);
    if (request_user(rq)->handoff) {
        handler_go_on(rq);
        return;
    }
    const struct reply_kind *kind = request_user(rq)->kind;
    if (kind)
        kind->on_ended(rq, task, status);
    if (rq->answer == ANSWER_NONE && rq->session && !rq->is_disconnected) {
        rq->wants_close = status != LUA_OK;
        response_plain(rq, task->is_cancelled ? 503 : 500);
    }
    handler_finish(rq);
}

/* ---- from the session ---- */

static void handler_on_timeout(struct deadline *deadline)
{
    struct request *rq = request_user_request(container_of(deadline, struct request_user, timeout));
    if (rq->answer == ANSWER_NONE)
        response_plain(rq, 503);
    if (request_user(rq)->task)
        task_cancel(request_user(rq)->task);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Without entering Lua. There may be room again when the client comes back. */
static void handler_refuse(struct request *rq)
{
    rq->wants_close = true;
    response_plain(rq, 503);
    session_request_done(rq);
}

static void handler_on_request(struct request *rq)
{
    struct vm *vm = request_vm(rq);
    if (rq->server->events.on_log)
        rq->started_ns = now_ns();
    if (!vm->app) {
        response_plain(rq, 503);
        session_request_done(rq);
        return;
    }
    find_route(rq, vm->app);
    const struct route *route = &vm->app->routes[rq->route];
    struct task *task = task_new(vm, route->name);
    if (!task) {
        handler_refuse(rq);
        return;
    }
    task->kind = "request";
    task->kind_id = rq->id;
    task->owner = rq;
    task->on_error = handler_failed;
    task->answers_errors = true;
    task->on_end = handler_ended;
    request_user(rq)->task = task;
    rq->is_held = true;
    vm->requests++;
    if (route->timeout_ms) {
        deadline_init(&request_user(rq)->timeout, handler_on_timeout);
        loop_set_deadline(vm->loop, &request_user(rq)->timeout, route->timeout_ms);
    }
    lua_pushcfunction(task->co, handler_main);
    lua_pushlightuserdata(task->co, rq);
    task_start(task, 1); /* runs the handler: rq can be gone after this */
}

static void handler_on_writable(struct request *rq)
{
    bind_stream_wake_writer(rq);
    if (request_user(rq)->awaits_drain) {
        request_user(rq)->awaits_drain = rq->is_held = false;
        handler_finish(rq);
    }
}

/* GET and HEAD handlers are cancelled when their client leaves; the others go on, because they
 * change something. */
static bool is_cancelled_by_leaving(const struct request *rq)
{
    const struct route *route = request_route(rq);
    if (route && route->on_disconnect != DISCONNECT_BY_METHOD)
        return route->on_disconnect == DISCONNECT_CANCEL;
    return rq->parser.method == HTTP_GET || rq->parser.method == HTTP_HEAD;
}

static void handler_on_left(struct request *rq)
{
    /* First, so that it is not woken to go on before it is cancelled. */
    if (request_user(rq)->task && is_cancelled_by_leaving(rq))
        task_cancel(request_user(rq)->task);
    request_body_wake_reader(rq);
    bind_stream_wake_writer(rq);
}

/* Whatever it was to wait for from its connection, it has it or will never have it. */
static void handler_on_gone(struct request *rq)
{
    request_body_wake_reader(rq);
    handler_on_writable(rq); /* rq can be gone after this */
}

static void hurry_request(struct request *rq, void *vm)
{
    if (rq->owner == vm)
        handler_on_writable(rq);
}

void handler_hurry(struct http_server *http, struct vm *vm)
{
    vm->is_hurried = true;
    http_server_each_request(http, hurry_request, vm);
}

void handler_take(struct request *rq)
{
    bool has_left_session = rq->is_done;
    if (deadline_is_set(&request_user(rq)->timeout))
        loop_clear_deadline(rq->server->loop, &request_user(rq)->timeout);
    bind_request_release(request_vm(rq)->L, rq);
    request_user(rq)->task = NULL;
    request_user(rq)->awaits_drain = rq->is_held = rq->is_kept = false;
    rq->wants_close = true;
    if (has_left_session)
        http_server_free_request(rq);
    else
        session_request_done(rq);
}

static void handler_on_log(struct request *rq)
{
    const struct route *route = request_route(rq);
    size_t method_len;
    size_t path_len;
    const char *method = request_method(rq, &method_len);
    const char *path = request_path(rq, &path_len);
    char line[512];
    char status[8];
    char bytes[24];
    char duration[24];
    int len = snprintf(line, sizeof(line), "%.*s %.*s", (int)method_len, method,
                       (int)(path_len > 400 ? 400 : path_len), path);
    struct log_field fields[] = {
        {"status", status,
         (size_t)snprintf(status, sizeof(status), "%d", rq->is_disconnected ? 499 : rq->status), 1},
        {"bytes", bytes,
         (size_t)snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)rq->sent), 1},
        {"ms", duration,
         (size_t)snprintf(duration, sizeof(duration), "%.3f",
                          rq->started_ns ? (double)(now_ns() - rq->started_ns) / 1e6 : 0.0),
         1},
        {"route", route ? route->name : "", route ? strlen(route->name) : 0, 0},
    };
    int count = (int)(sizeof(fields) / sizeof(*fields));
    bool has_route = route && rq->route > 0; /* the last of them */
    log_line(LOG_INFO, line, (size_t)len, fields, has_route ? count : count - 1);
}

static int handler_collect(lua_State *L)
{
    lua_gc(L, LUA_GCCOLLECT);
    return 0;
}

/* What Lua held of each request lies between their sessions, and keeps whole pages. */
static void handler_on_trim(void *owner)
{
    struct vm *vm = owner;
    if (vm->memory <= COLLECT_MAX)
        call_protected(vm, handler_collect, NULL, "collecting garbage");
}

struct http_events handler_events(bool logs)
{
    return (struct http_events){
        .user_size = sizeof(struct request_user),
        .on_request = handler_on_request,
        .on_body = request_body_wake_reader,
        .on_writable = handler_on_writable,
        .on_left = handler_on_left,
        .on_gone = handler_on_gone,
        .on_log = logs ? handler_on_log : NULL,
        .on_trim = handler_on_trim,
    };
}
