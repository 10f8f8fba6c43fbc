/* Connections, leases, and the queue for them: see sqlite_pool.h. */
#ifdef NEAP_HAS_SQLITE
#include "client/sqlite_pool.h"

#include "base/mem.h"
#include "base/tally.h"

#include <assert.h>

struct sqlite_pool {
    struct loop *loop;
    struct sqlite_options options; /* with a path of our own */
    char *path;
    struct list idle;   /* leases that nobody has */
    struct list others; /* taken, or being tidied or closed */
    struct list waiting;
    int size;
    int count;      /* of connections */
    bool is_closed; /* asked for */
};

struct sqlite_pool *sqlite_pool_new(struct loop *loop, const struct sqlite_options *options,
                                    int size)
{
    struct sqlite_pool *pool = mem_calloc(sizeof(*pool));
    pool->loop = loop;
    pool->size = size;
    pool->path = mem_strdup(options->path);
    pool->options = *options;
    pool->options.path = pool->path;
    list_init(&pool->idle);
    list_init(&pool->others);
    list_init(&pool->waiting);
    return pool;
}

/* ---- closing ---- */

static void free_if_empty(struct sqlite_pool *pool)
{
    if (!pool->is_closed || pool->count > 0)
        return;
    mem_free(pool->path);
    mem_free(pool);
}

static void close_on_thread(struct work *work)
{
    sqlite_conn_free(container_of(work, struct sqlite_lease, work)->conn);
}

static void on_conn_closed(struct work *work, int err)
{
    struct sqlite_lease *lease = container_of(work, struct sqlite_lease, work);
    struct sqlite_pool *pool = lease->pool;
    (void)err; /* it was not cancelled */
    list_remove(&lease->link);
    sqlite_call_deinit(&lease->call);
    mem_free(lease);
    pool->count--;
    tally_add(TALLY_DATABASE, -1);
    free_if_empty(pool);
}

static void close_conn(struct sqlite_lease *lease)
{
    list_push(&lease->pool->others, &lease->link);
    lease->work.run = close_on_thread; /* the last one to close a file tidies that up */
    lease->work.on_done = on_conn_closed;
    work_start(&lease->work, lease->pool->loop);
}

/* ---- who has what ---- */

static void sqlite_pool_on_limit(struct deadline *deadline)
{
    struct sqlite_lease *lease = container_of(deadline, struct sqlite_lease, limit);
    lease->is_late = true;
    sqlite_pool_stop_lease(lease);
}

static struct sqlite_lease *lease_new(struct sqlite_pool *pool)
{
    struct sqlite_lease *lease = mem_calloc(sizeof(*lease));
    lease->pool = pool;
    lease->conn = sqlite_conn_new(&pool->options);
    list_init(&lease->link);
    sqlite_call_init(&lease->call);
    deadline_init(&lease->limit, sqlite_pool_on_limit);
    pool->count++;
    tally_add(TALLY_DATABASE, 1);
    return lease;
}

static void sqlite_pool_take_conn(struct sqlite_lease *lease)
{
    lease->is_taken = true;
    list_push(&lease->pool->others, &lease->link);
}

static bool has_free(const struct sqlite_pool *pool)
{
    return !list_is_empty(&pool->idle) || pool->count < pool->size;
}

struct sqlite_lease *sqlite_pool_take(struct sqlite_pool *pool)
{
    if (!list_is_empty(&pool->waiting) || !has_free(pool))
        return NULL;
    struct list *link = list_shift(&pool->idle);
    struct sqlite_lease *lease =
        link != NULL ? container_of(link, struct sqlite_lease, link) : lease_new(pool);
    sqlite_pool_take_conn(lease);
    return lease;
}

void sqlite_pool_wait(struct sqlite_pool *pool, struct sqlite_waiter *waiter)
{
    list_push(&pool->waiting, &waiter->link);
}

bool sqlite_pool_is_held_by(const struct sqlite_pool *pool, uint64_t holder)
{
    if (has_free(pool))
        return false;
    list_each (link, &pool->others) {
        const struct sqlite_lease *lease = container_of(link, struct sqlite_lease, link);
        if (!lease->is_taken || lease->holder != holder)
            return false;
    }
    return true;
}

/* Nobody has it, and nothing runs on it. */
static void pass_on(struct sqlite_lease *lease)
{
    struct sqlite_pool *pool = lease->pool;
    list_remove(&lease->link);
    if (pool->is_closed) {
        close_conn(lease);
        return;
    }
    struct list *next = list_shift(&pool->waiting);
    if (next == NULL) {
        list_push(pool->idle.next, &lease->link); /* first: its cache of pages is warm */
        return;
    }
    struct sqlite_waiter *waiter = container_of(next, struct sqlite_waiter, link);
    sqlite_pool_take_conn(lease);
    waiter->on_turn(waiter, lease);
}

void sqlite_pool_close(struct sqlite_pool *pool)
{
    struct list *link;
    pool->is_closed = true;
    while ((link = list_shift(&pool->waiting)) != NULL) {
        struct sqlite_waiter *waiter = container_of(link, struct sqlite_waiter, link);
        waiter->on_turn(waiter, NULL);
    }
    while ((link = list_shift(&pool->idle)) != NULL)
        close_conn(container_of(link, struct sqlite_lease, link));
    free_if_empty(pool);
}

/* ---- what a lease does ---- */

static void tidy_on_thread(struct work *work)
{
    sqlite_conn_tidy(container_of(work, struct sqlite_lease, work)->conn);
}

static void on_tidy(struct work *work, int err)
{
    (void)err; /* it was not cancelled */
    pass_on(container_of(work, struct sqlite_lease, work));
}

static void sqlite_pool_put_back(struct sqlite_lease *lease)
{
    if (sqlite_conn_is_tidy(lease->conn)) {
        pass_on(lease);
        return;
    }
    sqlite_conn_allow(lease->conn);
    lease->work.run = tidy_on_thread;
    lease->work.on_done = on_tidy;
    work_start(&lease->work, lease->pool->loop);
}

static void call_on_thread(struct work *work)
{
    struct sqlite_lease *lease = container_of(work, struct sqlite_lease, work);
    sqlite_conn_run(lease->conn, &lease->call);
}

/* A batch that came just too late is late all the same: SQLite would refuse to bring the next. */
static void on_call_done(struct work *work, int err)
{
    struct sqlite_lease *lease = container_of(work, struct sqlite_lease, work);
    struct sqlite_call *call = &lease->call;
    lease->is_running = false;
    loop_clear_deadline(lease->pool->loop, &lease->limit);
    if (err)
        sqlite_call_fail(call, SQLITE_CALL_INTERRUPTED, "stopped before it began");
    if (lease->is_late && (call->has_more || sqlite_call_is(call, SQLITE_CALL_INTERRUPTED)))
        sqlite_call_fail(call, "timeout", "the statement took too long");
    if (!lease->is_taken)
        sqlite_pool_put_back(lease);
    else if (lease->on_done != NULL)
        lease->on_done(lease); /* may release it, or start another call */
}

void sqlite_pool_start_lease(struct sqlite_lease *lease, uint64_t limit_ms, sqlite_lease_fn on_done)
{
    assert(lease->is_taken && !lease->is_running);
    lease->is_running = true;
    lease->is_late = false;
    lease->on_done = on_done;
    lease->work.run = call_on_thread;
    lease->work.on_done = on_call_done;
    sqlite_conn_allow(lease->conn);
    loop_set_deadline(lease->pool->loop, &lease->limit, limit_ms);
    work_start(&lease->work, lease->pool->loop);
}

void sqlite_pool_stop_lease(struct sqlite_lease *lease)
{
    if (!lease->is_running)
        return;
    sqlite_conn_interrupt(lease->conn);
    work_cancel(&lease->work);
}

void sqlite_pool_release_lease(struct sqlite_lease *lease)
{
    lease->is_taken = false;
    lease->on_done = NULL;
    if (lease->is_running)
        sqlite_pool_stop_lease(lease); /* and then on_call_done */
    else
        sqlite_pool_put_back(lease);
}
#endif
