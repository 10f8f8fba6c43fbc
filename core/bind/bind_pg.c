/* core.pg_open and its connections: what lua/neap/pg.lua is made of. The userdata holds a handle;
 * one task at a time waits on a connection. */
#ifdef NEAP_HAS_PQ

#include "base/mem.h"
#include "bind/pg_value.h"
#include "client/pg_client.h"
#include "client/pg_result.h"
#include "task/origin.h"
#include "task/task.h"
#include "task/vm.h"
#include "value/binding.h"
#include "value/owned.h"
#include "value/units.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define PG_TYPE "neap.pg.connection"
enum { USER_ORIGIN = 1, USER_END, USER_VALUES = USER_END };

#define BATCH_ROWS 64 /* made into tables at once, before others get their turn */

struct pg {
    struct pg_client *client;
    struct vm *vm;
    slot_handle handle;
    struct wait *wait; /* who waits for news of the connection, or for its cancel request */
    struct pg_cancel *cancel;
    bool is_cancel_sent;
    struct pg_result *result; /* being made into Lua values */
};

struct pg_box {
    slot_handle handle;
};

/* ---- finding it, waiting for it ---- */

static struct pg *pg_find(lua_State *L)
{
    struct pg_box *box = luaL_checkudata(L, 1, PG_TYPE);
    return slots_get(&vm_of(L)->sockets, box->handle);
}

static void wake(struct pg *pg)
{
    struct wait *wait = pg->wait;
    pg->wait = NULL;
    if (wait)
        task_wake_wait(wait, 0);
}

static void bind_pg_on_change(void *owner)
{
    struct pg *pg = owner;
    if (!pg->cancel) /* else it is on_cancelled that is waited for */
        wake(pg);
}

static void on_cancelled(void *owner, bool is_sent)
{
    struct pg *pg = owner;
    pg->cancel = NULL;
    pg->is_cancel_sent = is_sent;
    wake(pg);
}

static void pg_free(struct pg *pg)
{
    slots_take(&pg->vm->sockets, pg->handle);
    wake(pg);
    if (pg->cancel)
        pg_cancel_forget(pg->cancel);
    if (pg->result)
        pg_result_free(pg->result);
    pg_client_close(pg->client);
    mem_free(pg);
}

static void wait_undo(struct wait *wait)
{
    ((struct pg *)wait->source)->wait = NULL;
}

static int park(lua_State *L, struct pg *pg, int (*finish)(lua_State *L, struct wait *wait),
                uint64_t timeout_ms)
{
    if (pg->wait)
        return luaL_error(L, "another task waits for this connection");
    struct wait *wait = task_wait(L);
    wait->undo = wait_undo;
    wait->finish = finish;
    wait->source = pg;
    pg->wait = wait;
    return task_park(L, timeout_ms);
}

static int push_why(lua_State *L, const char *why)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

static int push_broken(lua_State *L, const struct pg *pg)
{
    return push_why(L, pg ? pg_client_error(pg->client) : "closed");
}

/* ---- connecting ---- */

static int open_finish(lua_State *L, struct wait *wait)
{
    lua_settop(L, 4);
    lua_insert(L, 1); /* stack: box, dsn, timeout, max_message */
    struct pg *pg = pg_find(L);
    if (wait->outcome == WAIT_TIMEOUT || !pg || pg_client_state(pg->client) == PG_BROKEN) {
        int results = wait->outcome == WAIT_TIMEOUT ? push_why(L, "timeout") : push_broken(L, pg);
        if (pg)
            pg_free(pg);
        return results;
    }
    lua_settop(L, 1);
    return 1;
}

/* Cancelled: nobody will ever have it. */
static void open_undo(struct wait *wait)
{
    struct pg *pg = wait->source;
    pg->wait = NULL;
    if (wait->outcome == WAIT_CANCELLED)
        pg_free(pg);
}

/* pg_open(dsn, timeout, max_message) -> connection | nil, why */
static int pg_open(lua_State *L)
{
    const char *dsn = luaL_checkstring(L, 1);
    uint64_t timeout_ms = units_check_duration(L, 2);
    uint64_t max_message = units_check_size(L, 3);
    lua_settop(L, 3);
    struct pg_box *box = lua_newuserdatauv(L, sizeof(*box), USER_VALUES);
    box->handle = 0;
    luaL_setmetatable(L, PG_TYPE);
    origin_keep(L);

    struct wait *wait = task_wait(L);
    struct vm *vm = vm_of(L);
    struct pg *pg = mem_calloc(sizeof(*pg));
    pg->vm = vm;
    pg->handle = box->handle = slots_put(&vm->sockets, pg);
    pg->client = pg_client_open(vm->loop, dsn, (size_t)max_message, bind_pg_on_change, pg);
    pg->wait = wait;
    wait->undo = open_undo;
    wait->finish = open_finish;
    wait->source = pg;
    return task_park(L, timeout_ms);
}

/* ---- statements ---- */

/* c:send(sql [, count, values, types]) -> true | nil, why. Without a count the text may have
 * several statements. `types[i]` says what a text in `values` is: "json", "bytea". */
static int pg_send(lua_State *L)
{
    struct pg *pg = pg_find(L);
    struct pg_statement statement = {.sql = luaL_checkstring(L, 2)};
    if (!pg || pg_client_state(pg->client) == PG_BROKEN)
        return push_broken(L, pg);
    if (pg_client_state(pg->client) == PG_BUSY)
        return luaL_error(L, "this connection is busy: the rows before were not all read");
    statement.is_script = lua_isnoneornil(L, 3);
    if (!statement.is_script && !pg_value_read_params(L, &statement))
        return push_why(L, "a text has a zero byte: pg.bytea may have one");
    if (pg_client_send(pg->client, &statement) != 0)
        return push_broken(L, pg);
    lua_pushboolean(L, 1);
    return 1;
}

static int fetch_finish(lua_State *L, struct wait *wait);

static void drop_result(struct pg *pg)
{
    if (pg->result)
        pg_result_free(pg->result);
    pg->result = NULL;
}

/* What one result says: rows go into the list at `rows`; an error, or how many rows were changed,
 * is kept until all results have come. */
static void take_result(lua_State *L, int rows, struct pg *pg)
{
    if (pg_result_is_error(pg->result)) {
        pg_value_push_error(L, pg->result);
        lua_setiuservalue(L, 1, USER_END);
    } else if (pg_result_rows(pg->result) > 0) {
        pg_value_push_rows(L, rows, pg->result);
    } else if (*pg_result_tag(pg->result)) {
        pg_value_push_end(L, pg->result);
        lua_setiuservalue(L, 1, USER_END);
    }
    drop_result(pg);
}

/* false, {affected =, tag =} | nil, err; and forgets it */
static int push_end(lua_State *L)
{
    lua_getiuservalue(L, 1, USER_END);
    bool is_error = lua_istable(L, -1) && luaL_getmetafield(L, -1, "__name") != LUA_TNIL;
    lua_settop(L, 4); /* stack: connection, timeout, rows, end */
    lua_pushnil(L);
    lua_setiuservalue(L, 1, USER_END);
    if (is_error)
        lua_pushnil(L);
    else
        lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

/* c:fetch([timeout]) -> a list of rows: more may come | false, {affected=, tag=}: all is done |
 * nil, err: it failed, and is done | nil, why */
static int pg_fetch(lua_State *L)
{
    struct pg *pg = pg_find(L);
    uint64_t timeout_ms = lua_isnoneornil(L, 2) ? WAIT_FOREVER : units_check_duration(L, 2);
    enum pg_next next = PG_DONE;
    lua_settop(L, 2);
    if (!pg || pg_client_state(pg->client) == PG_BROKEN)
        return push_broken(L, pg);
    lua_newtable(L); /* stack: connection, timeout, rows */
    drop_result(pg); /* memory ran out while values were made of it */
    while (lua_rawlen(L, 3) < BATCH_ROWS &&
           (next = pg_client_next(pg->client, &pg->result)) == PG_RESULT)
        take_result(L, 3, pg);
    if (lua_rawlen(L, 3) > 0)
        return 1;
    if (next == PG_WAIT)
        return park(L, pg, fetch_finish, timeout_ms);
    if (pg_client_state(pg->client) == PG_BROKEN)
        return push_broken(L, pg);
    return push_end(L);
}

static int fetch_finish(lua_State *L, struct wait *wait)
{
    if (wait->outcome == WAIT_TIMEOUT)
        return push_why(L, "timeout");
    return pg_fetch(L); /* the time begins again: there was progress */
}

/* c:status() -> "connecting", "idle", "inside", "busy", "broken" or "closed" */
static int pg_status(lua_State *L)
{
    static const char *const names[] = {
        [PG_CONNECTING] = "connecting", [PG_IDLE] = "idle",
        [PG_INSIDE] = "inside",         [PG_BUSY] = "busy",
        [PG_BROKEN] = "broken",
    };
    struct pg *pg = pg_find(L);
    lua_pushstring(L, pg ? names[pg_client_state(pg->client)] : "closed");
    return 1;
}

/* ---- notifications ---- */

static int notice_release(lua_State *L)
{
    struct pg_notice *notice = lua_touserdata(L, 1);
    pg_client_free_notice(notice);
    notice->memory = NULL;
    return 0;
}

static struct pg_notice *notice_push(lua_State *L)
{
    struct pg_notice *notice = lua_newuserdatauv(L, sizeof(*notice), 0);
    *notice = (struct pg_notice){.memory = NULL};
    owned_set_type(L, "neap.pg.notice", notice_release);
    return notice;
}

/* c:notification([timeout]) -> channel, payload | nil, "timeout" | nil, why */
static int pg_notification(lua_State *L);

static int notification_finish(lua_State *L, struct wait *wait)
{
    if (wait->outcome == WAIT_TIMEOUT)
        return push_why(L, "timeout");
    return pg_notification(L);
}

static int pg_notification(lua_State *L)
{
    struct pg *pg = pg_find(L);
    uint64_t timeout_ms = lua_isnoneornil(L, 2) ? WAIT_FOREVER : units_check_duration(L, 2);
    lua_settop(L, 2);
    struct pg_notice *notice = notice_push(L);
    if (pg && pg_client_take_notice(pg->client, notice)) {
        lua_pushstring(L, notice->channel);
        lua_pushstring(L, notice->payload);
        return 2;
    }
    if (!pg || pg_client_state(pg->client) == PG_BROKEN)
        return push_broken(L, pg);
    return park(L, pg, notification_finish, timeout_ms);
}

/* ---- cancelling, closing ---- */

static int cancel_finish(lua_State *L, struct wait *wait)
{
    struct pg *pg = pg_find(L);
    lua_pushboolean(L, pg && wait->outcome == WAIT_WOKEN && pg->is_cancel_sent);
    return 1;
}

/* c:cancel([timeout]) -> whether the server was asked to stop the statement */
static int pg_lua_cancel(lua_State *L)
{
    struct pg *pg = pg_find(L);
    uint64_t timeout_ms = lua_isnoneornil(L, 2) ? WAIT_FOREVER : units_check_duration(L, 2);
    if (pg && !pg->cancel && !pg->wait)
        pg->cancel = pg_client_cancel(pg->client, on_cancelled, pg);
    if (!pg || !pg->cancel) {
        lua_pushboolean(L, 0);
        return 1;
    }
    return park(L, pg, cancel_finish, timeout_ms);
}

static int pg_close(lua_State *L) /* c:close() */
{
    struct pg *pg = pg_find(L);
    if (pg)
        pg_free(pg);
    return 0;
}

static int pg_gc(lua_State *L)
{
    struct pg *pg = pg_find(L);
    if (!pg)
        return 0;
    origin_log_leak(L, 1, "a connection to PostgreSQL");
    pg_free(pg);
    return 0;
}

static int bind_pg(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"send", pg_send},     {"fetch", pg_fetch},       {"notification", pg_notification},
        {"status", pg_status}, {"cancel", pg_lua_cancel}, {"close", pg_close},
        {NULL, NULL},
    };
    luaL_newmetatable(L, PG_TYPE);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, pg_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);

    lua_pushcfunction(L, pg_open);
    lua_setfield(L, -2, "pg_open");
    luaL_newmetatable(L, PG_ERROR_TYPE);
    lua_setfield(L, -2, "pg_error");
    return 0;
}

BINDING(bind_pg)

#endif
