/* What a Lua state still has when its time is over: see remains.h. */
#include "life/remains.h"

#include "base/log.h"
#include "push/wsock.h"
#include "task/origin.h"
#include "task/task.h"
#include "task/vm.h"
#include "web/app.h"
#include "web/handler.h"

#include <string.h>

#define LINES_MAX 20

/* ---- one after the other ---- */

static struct request *next_request(const struct vm *vm, const struct http_server *http,
                                    uint32_t *place)
{
    struct request *rq;
    while ((rq = slots_next(&http->requests, place)))
        if (handler_has(vm, rq))
            return rq;
    return NULL;
}

static struct wsock *next_wsock(const struct vm *vm, uint32_t *place)
{
    struct wsock *wsock;
    while ((wsock = slots_next(vm->options.websockets, place)))
        if (wsock->vm == vm)
            return wsock;
    return NULL;
}

/* ---- for the log ---- */

/* The handler's, or that of req:after. */
static bool has_task(const struct vm *vm, const struct request *rq)
{
    list_each (link, &vm->tasks)
        if (container_of(link, struct task, link)->owner == rq)
            return true;
    return false;
}

/* Begins a line, as long as there are not too many; those are counted all the same. */
static bool begin_line(struct bytes *text, int *lines)
{
    if (++*lines > LINES_MAX)
        return false;
    bytes_append_text(text, "\n  ");
    return true;
}

static void append_task(struct bytes *text, const struct task *task)
{
    char place[ORIGIN_SIZE];
    origin_write(task_park_innermost(task->co), place);
    bytes_append_text(text, task->name);
    if (task->kind && task->kind_id)
        bytes_printf(text, " (%s %u)", task->kind, (unsigned)task->kind_id);
    else if (task->kind && strcmp(task->kind, task->name) != 0)
        bytes_printf(text, " (%s)", task->kind);
    if (place[0])
        bytes_printf(text, " at %s", place);
}

static void append_request(struct bytes *text, const struct vm *vm, const struct request *rq)
{
    const struct app *app = vm->app;
    bool has_route = app && rq->route >= 0 && rq->route <= app->count;
    bytes_printf(text, "%s (request %u), which has no task any more",
                 has_route ? app->routes[rq->route].name : "unknown", (unsigned)rq->id);
}

/* An open one has its route in the numbers of the state that serves. */
static void append_wsock(struct bytes *text, const struct http_server *http,
                         const struct wsock *wsock)
{
    const struct vm *serving = http->owner;
    const struct app *app = serving ? serving->app : NULL;
    int number = wsock->ws.guest.route;
    if (wsock->end)
        bytes_append_text(text, "a WebSocket that has closed");
    else if (app && number > 0 && number <= app->count)
        bytes_printf(text, "an open WebSocket of %s", app->routes[number].name);
    else
        bytes_append_text(text, "an open WebSocket");
}

void remains_append(struct bytes *text, const struct vm *vm, const struct http_server *http)
{
    const struct request *rq;
    const struct wsock *wsock;
    uint32_t place = 0;
    int lines = 0;
    list_each (link, &vm->tasks)
        if (begin_line(text, &lines))
            append_task(text, container_of(link, struct task, link));
    while ((rq = next_request(vm, http, &place)))
        if (!has_task(vm, rq) && begin_line(text, &lines))
            append_request(text, vm, rq);
    place = 0;
    while ((wsock = next_wsock(vm, &place)))
        if (!wsock->task && begin_line(text, &lines))
            append_wsock(text, http, wsock);
    if (lines > LINES_MAX)
        bytes_printf(text, "\n  and %d more", lines - LINES_MAX);
}

void remains_log(const char *what, const struct vm *vm, const struct http_server *http)
{
    struct bytes text;
    bytes_init(&text);
    bytes_append_text(&text, what);
    remains_append(&text, vm, http);
    log_line(LOG_WARN, text.data, text.len, NULL, 0);
    bytes_deinit(&text);
}

/* ---- taken away ---- */

void remains_cut(struct vm *vm, struct http_server *http)
{
    struct wsock *wsock;
    uint32_t place = 0;
    task_cut_all(vm);
    handler_hurry(http, vm);
    while ((wsock = next_wsock(vm, &place)))
        wsock_close(wsock, 1012, "reload"); /* as when its handler is cancelled by a reload */
}

bool remains_take(struct vm *vm, struct http_server *http)
{
    struct request *rq;
    struct wsock *wsock;
    uint32_t place = 0;
    bool has_any = false;
    task_cut_all(vm);
    for (; (rq = next_request(vm, http, &place)); has_any = true)
        handler_take(rq);
    for (place = 0; (wsock = next_wsock(vm, &place)); has_any = true)
        wsock_take(wsock); /* can be gone after this */
    return has_any;
}
