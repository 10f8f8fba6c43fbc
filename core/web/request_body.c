/* `req:body` and `req:read_chunk`: the task waits for bytes, and the client for the task. */
#include "web/request_body.h"

#include "task/task.h"
#include "value/units.h"
#include "web/bind_request.h"
#include "web/handler.h"
#include "web/request_box.h"
#include "web/request_user.h"

#include <lauxlib.h>

#define CHUNK_DEFAULT 65536

static int push_body_error(lua_State *L, const struct request *rq)
{
    lua_pushnil(L);
    lua_pushstring(L, rq->body_error ? rq->body_error : "aborted");
    return 2;
}

static void reader_undo(struct wait *wait)
{
    struct request *rq = wait->source;
    request_user(rq)->reader = NULL;
    rq->is_wanted = false;
}

/* Waits for body bytes; `finish` pushes them. */
static int park_reader(lua_State *L, struct request *rq, bool reads_all,
                       int (*finish)(lua_State *L, struct wait *wait))
{
    if (request_user(rq)->reader)
        return luaL_error(L, "another task is reading this body");
    struct wait *wait = task_wait(L);
    wait->undo = reader_undo;
    wait->finish = finish;
    wait->source = rq;
    request_user(rq)->reader = wait;
    request_user(rq)->reads_all = reads_all;
    return task_park(L, WAIT_FOREVER);
}

void request_body_wake_reader(struct request *rq)
{
    struct wait *wait = request_user(rq)->reader;
    bool is_over = rq->stage != REQUEST_BODY || !request_user(rq)->task;
    if (!wait || (!is_over && (request_user(rq)->reads_all || rq->body.len == 0)))
        return;
    request_user(rq)->reader = NULL;
    rq->is_wanted = false;
    task_wake_wait(wait, 0);
}

/* Pushes the whole body and keeps it, so that it can be asked for again. */
static int push_whole_body(lua_State *L, struct request *rq)
{
    if (rq->stage != REQUEST_WHOLE)
        return push_body_error(L, rq);
    lua_pushlstring(L, rq->body.data ? rq->body.data : "", rq->body.len);
    request_drop_body(rq);
    request_box_push_cache(L, rq);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "\1body");
    lua_pop(L, 1);
    return 1;
}

static int body_finish(lua_State *L, struct wait *wait)
{
    (void)wait;
    return push_whole_body(L, bind_request_check(L, 1));
}

static uint64_t limit_arg(lua_State *L, int index, const struct request *rq)
{
    return lua_isnoneornil(L, index) ? handler_body_limit(rq) : units_check_size(L, index);
}

/* req:body([limit]) -> string | nil, "too_large" | "aborted" | "timeout" | "invalid" |
 * "overloaded". */
int request_body_read(lua_State *L)
{
    struct request *rq = bind_request_check(L, 1);
    uint64_t limit = limit_arg(L, 2, rq);
    if (request_user(rq)->cache_ref) {
        request_box_push_cache(L, rq);
        if (lua_getfield(L, -1, "\1body") == LUA_TSTRING)
            return 1;
        lua_pop(L, 2);
    }
    if (request_user(rq)->has_chunks)
        return luaL_error(L, "a part of this body was already read in chunks");
    session_read_body(rq, limit);
    if (rq->stage != REQUEST_BODY)
        return push_whole_body(L, rq);
    return park_reader(L, rq, true, body_finish);
}

static int push_chunk(lua_State *L, struct request *rq, size_t most)
{
    if (rq->body.len == 0 && rq->stage == REQUEST_WHOLE)
        return 0;
    if (rq->body.len == 0 || rq->stage == REQUEST_BROKEN)
        return push_body_error(L, rq);
    size_t len = rq->body.len < most ? rq->body.len : most;
    lua_pushlstring(L, rq->body.data, len);
    request_take_body(rq, len);
    return 1;
}

static int chunk_finish(lua_State *L, struct wait *wait)
{
    (void)wait;
    return push_chunk(L, bind_request_check(L, 1), (size_t)luaL_optinteger(L, 2, CHUNK_DEFAULT));
}

static int chunk_again(lua_State *L, struct wait *wait)
{
    (void)wait;
    return request_body_read_chunk(L);
}

/* req:read_chunk([n]) -> string of up to n bytes | nil at the end | nil, error */
int request_body_read_chunk(lua_State *L)
{
    struct request *rq = bind_request_check(L, 1);
    lua_Integer most = luaL_optinteger(L, 2, CHUNK_DEFAULT);
    luaL_argcheck(L, most > 0, 2, "at least one byte");
    if (rq->body.len > 0 &&
        task_had_enough(L, rq->body.len < (size_t)most ? rq->body.len : (size_t)most))
        return task_yield_then(L, chunk_again);
    request_user(rq)->has_chunks = true;
    session_read_body(rq, handler_body_limit(rq));
    if (rq->body.len > 0 || rq->stage != REQUEST_BODY) {
        rq->is_wanted = false;
        bool is_over = rq->body.len == 0 || rq->stage == REQUEST_BROKEN;
        int count = push_chunk(L, rq, (size_t)most);
        return is_over ? task_answer_gone(L, count) : count;
    }
    return park_reader(L, rq, false, chunk_finish);
}
