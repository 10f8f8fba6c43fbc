/* core.sqlite, under lua/neap/sqlite.lua: pools of connections, leases of them, and calls, which
 * park while a thread does the work. The userdata hold handles. */
#ifdef NEAP_HAS_SQLITE

#include "bind/sqlite_value.h"
#include "client/sqlite_pool.h"
#include "task/task.h"
#include "task/vm.h"
#include "value/binding.h"
#include "value/units.h"

#include <lauxlib.h>
#include <string.h>

#define POOL_TYPE "neap.sqlite_pool"
#define LEASE_TYPE "neap.sqlite_lease"
#define LEASE_GONE (-1) /* result of a wait: somebody has given the lease back meanwhile */

struct pool_box {
    slot_handle handle;
};

struct lease_box {
    slot_handle handle;
    struct sqlite_waiter waiter; /* while its task waits for its turn; the stack keeps it alive */
    struct wait *wait;
};

static int push_failure(lua_State *L, const char *code)
{
    lua_pushnil(L);
    lua_pushstring(L, code);
    return 2;
}

/* ---- pools ---- */

static struct sqlite_pool *pool_find(lua_State *L) /* NULL: closed */
{
    struct pool_box *box = luaL_checkudata(L, 1, POOL_TYPE);
    return slots_get(&vm_of(L)->databases, box->handle);
}

static bool flag(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    bool is_set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is_set;
}

static uint64_t limit_arg(lua_State *L, int index)
{
    return lua_isnoneornil(L, index) ? UINT64_MAX : units_check_size(L, index);
}

/* pool(path, connections, statements, limit, {readonly=, reader=, durable=}) -> pool */
static int sqlite_pool(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    lua_Integer size = luaL_checkinteger(L, 2);
    lua_Integer statements = luaL_checkinteger(L, 3);
    luaL_argcheck(L, size >= 1 && size <= 1000, 2, "from 1 to 1000");
    luaL_argcheck(L, statements >= 1 && statements <= 10000, 3, "from 1 to 10000");
    const struct sqlite_options options = {
        .path = path,
        .statements = (int)statements,
        .limit = limit_arg(L, 4),
        .is_readonly = flag(L, 5, "readonly"),
        .is_reader = flag(L, 5, "reader"),
        .is_durable = flag(L, 5, "durable"),
    };
    struct vm *vm = vm_of(L);
    struct pool_box *box = lua_newuserdatauv(L, sizeof(*box), 0);
    box->handle = 0;
    luaL_setmetatable(L, POOL_TYPE);

    box->handle = slots_put(&vm->databases, sqlite_pool_new(vm->loop, &options, (int)size));
    return 1;
}

static int pool_close(lua_State *L) /* p:close(); what is under way ends in its own time */
{
    struct pool_box *box = luaL_checkudata(L, 1, POOL_TYPE);
    struct sqlite_pool *pool = pool_find(L);
    if (pool == NULL)
        return 0;
    slots_take(&vm_of(L)->databases, box->handle);
    sqlite_pool_close(pool);
    return 0;
}

/* ---- getting a lease ---- */

static void box_give(struct vm *vm, struct lease_box *box, struct sqlite_lease *lease,
                     slot_handle holder)
{
    box->handle = slots_put(&vm->databases, lease);
    lease->holder = holder;
    lease->wait = NULL;
}

static void on_turn(struct sqlite_waiter *waiter, struct sqlite_lease *lease)
{
    struct lease_box *box = container_of(waiter, struct lease_box, waiter);
    struct task *task = task_of_wait(box->wait);
    if (lease != NULL)
        box_give(task->vm, box, lease, task->handle);
    task_wake_wait(box->wait, 0);
}

static void leave_queue(struct wait *wait)
{
    struct lease_box *box = wait->source;
    list_remove(&box->waiter.link);
}

static int acquire_finish(lua_State *L, struct wait *wait)
{
    struct lease_box *box = wait->source;
    if (wait->outcome == WAIT_TIMEOUT)
        return push_failure(L, "timeout");
    if (box->handle == 0)
        return push_failure(L, "closed");
    lua_settop(L, 3);
    return 1;
}

static struct lease_box *push_lease(lua_State *L)
{
    struct lease_box *box = lua_newuserdatauv(L, sizeof(*box), 0);
    *box = (struct lease_box){.waiter.on_turn = on_turn};
    list_init(&box->waiter.link);
    luaL_setmetatable(L, LEASE_TYPE);
    return box;
}

/* p:acquire(timeout) -> lease | nil, "timeout" | nil, "closed" | nil, "held": by this task */
static int pool_acquire(lua_State *L)
{
    struct sqlite_pool *pool = pool_find(L);
    uint64_t timeout_ms = units_check_duration(L, 2);
    struct task *task = task_of(L);
    slot_handle holder = task != NULL ? task->handle : 0;
    lua_settop(L, 2);
    if (pool == NULL)
        return push_failure(L, "closed");
    if (sqlite_pool_is_held_by(pool, holder))
        return push_failure(L, "held");
    struct lease_box *box = push_lease(L); /* stack: pool, timeout, lease */

    struct sqlite_lease *lease = sqlite_pool_take(pool);
    if (lease != NULL) {
        box_give(vm_of(L), box, lease, holder);
        return 1;
    }
    struct wait *wait = task_wait(L);
    wait->undo = leave_queue;
    wait->finish = acquire_finish;
    wait->source = box;
    box->wait = wait;
    sqlite_pool_wait(pool, &box->waiter);
    return task_park(L, timeout_ms);
}

static struct sqlite_lease *lease_find(lua_State *L) /* NULL: given back */
{
    struct lease_box *box = luaL_checkudata(L, 1, LEASE_TYPE);
    return slots_get(&vm_of(L)->databases, box->handle);
}

static int lease_close(lua_State *L) /* l:close(): what was not committed is rolled back */
{
    struct lease_box *box = luaL_checkudata(L, 1, LEASE_TYPE);
    struct sqlite_lease *lease = lease_find(L);
    if (lease == NULL)
        return 0;
    slots_take(&vm_of(L)->databases, box->handle);
    struct wait *wait = lease->wait;
    lease->wait = NULL;
    if (wait != NULL)
        task_wake_wait(wait, LEASE_GONE);
    sqlite_pool_release_lease(lease);
    return 0;
}

/* ---- calls ---- */

/* Where the arguments of a call are on the stack. */
enum { AT_LEASE = 1, AT_TIMEOUT, AT_LIMIT, AT_ROWS, AT_SQL, AT_PARAMS };

static void on_call_done(struct sqlite_lease *lease)
{
    struct wait *wait = lease->wait;
    lease->wait = NULL;
    if (wait != NULL)
        task_wake_wait(wait, 0);
}

/* Cancelled: it takes a moment to stop, and perhaps has been done. */
static bool call_holds_on(struct wait *wait)
{
    sqlite_pool_stop_lease(wait->source);
    return true;
}

/* Cut off. The lease will be given back, too. */
static void call_undo(struct wait *wait)
{
    struct sqlite_lease *lease = wait->source;
    lease->wait = NULL;
    sqlite_pool_stop_lease(lease);
}

/* -> nil, code, message, constraint | nil */
static int push_call_failure(lua_State *L, const struct sqlite_call *call)
{
    push_failure(L, call->code);
    lua_pushlstring(L, call->message.data, call->message.len);
    lua_pushstring(L, call->constraint);
    return 4;
}

static int push_slice(lua_State *L, struct sqlite_lease *lease);

/* Only what wrote leaves rows for another turn. It has happened, so a cancel has to wait. */
static int push_rest(lua_State *L, struct wait *wait)
{
    struct sqlite_lease *lease = lease_find(L);
    (void)wait;
    task_of(L)->shields--;
    return lease != NULL ? push_slice(L, lease) : push_failure(L, "closed");
}

static int push_slice(lua_State *L, struct sqlite_lease *lease)
{
    sqlite_value_push_rows(L, AT_ROWS, &lease->call);
    if (lease->call.row_count > 0) {
        task_of(L)->shields++;
        return task_yield_then(L, push_rest);
    }
    lua_pushboolean(L, lease->call.has_more);
    return 1;
}

static int call_finish(lua_State *L, struct wait *wait)
{
    struct sqlite_lease *lease = lease_find(L);
    if (wait->result == LEASE_GONE || lease == NULL)
        return push_failure(L, "closed");
    struct sqlite_call *call = &lease->call;
    if (sqlite_call_is(call, SQLITE_CALL_INTERRUPTED) && task_must_unwind(task_of(L)))
        return task_raise_cancel(L);
    if (call->code != NULL)
        return push_call_failure(L, call);
    if (lua_istable(L, AT_ROWS))
        return push_slice(L, lease);
    lua_pushinteger(L, call->changes);
    lua_pushinteger(L, call->last_id);
    return 2;
}

/* The call has been filled in. */
static int call_park(lua_State *L, struct sqlite_lease *lease)
{
    uint64_t timeout_ms = units_check_duration(L, AT_TIMEOUT);
    struct wait *wait = task_wait(L);
    wait->holds_on = call_holds_on;
    wait->undo = call_undo;
    wait->finish = call_finish;
    wait->source = lease;
    lease->wait = wait;
    sqlite_pool_start_lease(lease, timeout_ms, on_call_done);
    return task_park(L, WAIT_FOREVER);
}

/* The lease, ready for a call; NULL and `code`, why it cannot be used. */
static struct sqlite_lease *lease_prepare(lua_State *L, enum sqlite_act act, const char **code)
{
    struct sqlite_lease *lease = lease_find(L);
    *code = lease == NULL ? "closed" : "in_use";
    if (lease == NULL || lease->is_running)
        return NULL;
    sqlite_call_reset(&lease->call, act);
    lease->call.limit = limit_arg(L, AT_LIMIT);
    return lease;
}

static int call_sql(lua_State *L, enum sqlite_act act)
{
    size_t len;
    const char *code;
    const char *sql = luaL_checklstring(L, AT_SQL, &len);
    struct sqlite_lease *lease = lease_prepare(L, act, &code);
    if (lease == NULL)
        return push_failure(L, code);
    struct sqlite_call *call = &lease->call;
    if (strlen(sql) != len) {
        sqlite_call_fail(call, "misuse", "the SQL has a NUL in it");
        return push_call_failure(L, call);
    }
    bytes_append(&call->sql, sql, len + 1);
    call->sql.len--; /* the NUL does not count */
    if (sqlite_value_read_params(L, AT_PARAMS, call) < 0)
        return push_call_failure(L, call);
    return call_park(L, lease);
}

static int call_plain(lua_State *L, enum sqlite_act act)
{
    const char *code;
    struct sqlite_lease *lease = lease_prepare(L, act, &code);
    return lease != NULL ? call_park(L, lease) : push_failure(L, code);
}

static int lease_exec(lua_State *L) /* l:exec(timeout, limit, nil, sql, ...) -> changes, last_id */
{
    return call_sql(L, SQLITE_ACT_EXEC);
}

/* l:query(timeout, limit, rows, sql, ...) -> has_more; the first batch is appended to `rows` */
static int lease_query(lua_State *L)
{
    return call_sql(L, SQLITE_ACT_QUERY);
}

static int lease_rows(lua_State *L) /* likewise; `limit` is for each batch */
{
    return call_sql(L, SQLITE_ACT_ROWS);
}

static int lease_more(lua_State *L) /* l:more(timeout, limit, rows) -> has_more */
{
    return call_plain(L, SQLITE_ACT_MORE);
}

static int lease_begin(lua_State *L) /* l:begin(timeout) -> 0; so do the others */
{
    return call_plain(L, SQLITE_ACT_BEGIN);
}

static int lease_commit(lua_State *L)
{
    return call_plain(L, SQLITE_ACT_COMMIT);
}

static int lease_save(lua_State *L)
{
    return call_plain(L, SQLITE_ACT_SAVE);
}

static int lease_keep(lua_State *L)
{
    return call_plain(L, SQLITE_ACT_KEEP);
}

static int lease_undo(lua_State *L)
{
    return call_plain(L, SQLITE_ACT_UNDO);
}

/* ---- types ---- */

static void make_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction close)
{
    luaL_newmetatable(L, name);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "close");
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__close");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

static int bind_sqlite(lua_State *L)
{
    static const luaL_Reg pool_methods[] = {{"acquire", pool_acquire}, {NULL, NULL}};
    static const luaL_Reg lease_methods[] = {
        {"exec", lease_exec}, {"query", lease_query}, {"rows", lease_rows},
        {"more", lease_more}, {"begin", lease_begin}, {"commit", lease_commit},
        {"save", lease_save}, {"keep", lease_keep},   {"undo", lease_undo},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"pool", sqlite_pool}, {"blob", sqlite_value_push_blob}, {NULL, NULL}};
    make_type(L, POOL_TYPE, pool_methods, pool_close);
    make_type(L, LEASE_TYPE, lease_methods, lease_close);
    luaL_newmetatable(L, BLOB_TYPE);
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    lua_setfield(L, -2, "sqlite");
    return 0;
}

BINDING(bind_sqlite)

#endif
