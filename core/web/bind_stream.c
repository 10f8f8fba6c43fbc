/* `out`, what a streaming handler writes to: see bind_stream.h. Writing parks while more than
 * CONN_HIGH_WATER bytes have not left yet, so a slow client slows its producer and nothing else. */
#include "web/bind_stream.h"

#include "http/response.h"
#include "task/task.h"
#include "value/binding.h"
#include "web/request_box.h"
#include "web/request_user.h"

#include <lauxlib.h>

#define STREAM_TYPE "neap.stream"
#define SMALL_PIECE 2048 /* written at a time when loop->output is used up */
#define CHUNK_FRAME 32   /* bytes around a chunk, at most */

void bind_stream_push(lua_State *L, struct request *rq)
{
    request_box_push(L, rq, STREAM_TYPE);
}

/* The request that is being answered, or NULL when its client has gone or its answer has ended. */
static struct request *stream_open(lua_State *L)
{
    struct request *rq = request_box_find(luaL_checkudata(L, 1, STREAM_TYPE));
    if (!rq || !rq->session || rq->is_disconnected || rq->answer != ANSWER_STARTED)
        return NULL;
    /* A failed write is told to the session later. */
    return session_conn_of(rq)->is_broken ? NULL : rq;
}

static int push_closed(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "closed");
    return 2;
}

static int push_written(lua_State *L)
{
    if (!stream_open(L))
        return push_closed(L);
    lua_pushboolean(L, 1);
    return 1;
}

static void writer_undo(struct wait *wait)
{
    struct request *rq = wait->source;
    request_user(rq)->writer = NULL;
}

static int writer_finish(lua_State *L, struct wait *wait)
{
    (void)wait;
    return push_written(L);
}

void bind_stream_wake_writer(struct request *rq)
{
    struct wait *wait = request_user(rq)->writer;
    if (!wait)
        return;
    request_user(rq)->writer = NULL;
    task_wake_wait(wait, 0);
}

/* The client took everything at once: goes on, but not for ever while everybody else waits. */
static int pass_writer(lua_State *L, size_t len)
{
    return task_had_enough(L, len) ? task_yield_then(L, writer_finish) : push_written(L);
}

/* Whether more than `most` bytes stay behind. */
static bool is_behind(struct request *rq, size_t most)
{
    struct conn *conn = session_conn_of(rq);
    if (conn_unsent(conn) > most)
        conn_flush(conn);
    return conn_unsent(conn) > most;
}

/* Waits until all has left. */
static int park_writer(lua_State *L, struct request *rq,
                       int (*finish)(lua_State *L, struct wait *wait))
{
    if (request_user(rq)->writer)
        return luaL_error(L, "another task is writing to this stream");
    struct wait *wait = task_wait(L);
    wait->undo = writer_undo;
    wait->finish = finish;
    wait->source = rq;
    request_user(rq)->writer = wait;
    return task_park(L, WAIT_FOREVER);
}

/* ---- writing ---- */

/* Where it stands in the texts of one out:write. */
struct place_in_texts {
    int text; /* index on the stack */
    size_t from;
};

static int write_on(lua_State *L, int last, struct place_in_texts at);

static int write_on_finish(lua_State *L, struct wait *wait)
{
    struct place_in_texts at = {(int)lua_tointeger(L, -2), (size_t)lua_tointeger(L, -1)};
    (void)wait;
    lua_pop(L, 2);
    return write_on(L, lua_gettop(L), at);
}

/* Stops in the middle of the texts, which stay on the stack. */
static int pause_writer(lua_State *L, struct request *rq, struct place_in_texts at)
{
    lua_pushinteger(L, at.text);
    lua_pushinteger(L, (lua_Integer)at.from);
    if (is_behind(rq, 0))
        return park_writer(L, rq, write_on_finish);
    return task_yield_then(L, write_on_finish);
}

/* Writes each text at once. While loop->output is used up, in small pieces, each when the one
 * before has left: what the client does not take stays with Lua. */
static int write_on(lua_State *L, int last, struct place_in_texts at)
{
    struct request *rq;
    size_t written = 0;
    while ((rq = stream_open(L)) != NULL && at.text <= last) {
        size_t len;
        const char *text = lua_tolstring(L, at.text, &len);
        size_t piece = len - at.from;
        if (!conn_has_room(session_conn_of(rq), piece + CHUNK_FRAME)) {
            if (is_behind(rq, 0) || task_had_enough(L, SMALL_PIECE))
                return pause_writer(L, rq, at);
            piece = piece < SMALL_PIECE ? piece : SMALL_PIECE;
        }
        response_write(rq, text + at.from, piece);
        written += piece;
        at.from += piece;
        if (at.from == len)
            at = (struct place_in_texts){.text = at.text + 1};
    }
    if (!rq)
        return task_answer_gone(L, push_closed(L));
    return is_behind(rq, CONN_HIGH_WATER) ? park_writer(L, rq, writer_finish)
                                          : pass_writer(L, written);
}

/* out:write(s...) -> true | nil, "closed" */
static int stream_write(lua_State *L)
{
    int last = lua_gettop(L);
    for (int i = 2; i <= last; i++)
        luaL_checkstring(L, i);
    return write_on(L, last, (struct place_in_texts){.text = 2});
}

/* out:flush() -> true | nil, "closed": parks until everything written has reached the kernel */
static int stream_flush(lua_State *L)
{
    struct request *rq = stream_open(L);
    if (!rq)
        return task_answer_gone(L, push_closed(L));
    return is_behind(rq, 0) ? park_writer(L, rq, writer_finish) : pass_writer(L, 0);
}

/* out:pending() -> bytes that have not left yet */
static int stream_pending(lua_State *L)
{
    struct request *rq = stream_open(L);
    lua_pushinteger(L, rq ? (lua_Integer)conn_unsent(session_conn_of(rq)) : 0);
    return 1;
}

static int bind_stream(lua_State *L)
{
    static const luaL_Reg methods[] = {{"write", stream_write},
                                       {"flush", stream_flush},
                                       {"pending", stream_pending},
                                       {NULL, NULL}};
    luaL_newmetatable(L, STREAM_TYPE);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    return 0;
}

BINDING(bind_stream)
