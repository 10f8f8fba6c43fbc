/* Connections to one database file, at most so many, and who has them: a lease is a connection
 * while somebody has it. Who comes when all are leased waits, first come, first served. On one
 * loop. */
#ifndef CLIENT_SQLITE_POOL_H
#define CLIENT_SQLITE_POOL_H

#include "base/list.h"
#include "client/sqlite_call.h"
#include "client/sqlite_conn.h"
#include "net/deadline.h"
#include "net/loop.h"
#include "net/work.h"

#include <stdbool.h>
#include <stdint.h>

struct sqlite_pool;
struct sqlite_lease;

typedef void (*sqlite_lease_fn)(struct sqlite_lease *lease);

/* Whoever waits for a lease: a member of something that leaves the queue before it dies. */
struct sqlite_waiter {
    struct list link;
    /* NULL: the pool is closed. It has left the queue. */
    void (*on_turn)(struct sqlite_waiter *waiter, struct sqlite_lease *lease);
};

struct sqlite_lease {
    struct list link; /* in the pool */
    struct sqlite_pool *pool;
    struct sqlite_conn *conn;
    struct sqlite_call call;
    struct work work;
    struct deadline limit;   /* of the call that runs */
    sqlite_lease_fn on_done; /* of the call that runs; NULL: nobody cares any more */
    void *wait;              /* these two: of whoever has it */
    uint64_t holder;
    bool is_taken;
    bool is_running;
    bool is_late; /* the limit passed */
};

/* ---- the pool ---- */

struct sqlite_pool *sqlite_pool_new(struct loop *loop, const struct sqlite_options *options,
                                    int size);
struct sqlite_lease *sqlite_pool_take(struct sqlite_pool *pool); /* NULL: wait */
void sqlite_pool_wait(struct sqlite_pool *pool, struct sqlite_waiter *waiter);
/* Whether `holder` has all the connections: it would wait for itself. */
bool sqlite_pool_is_held_by(const struct sqlite_pool *pool, uint64_t holder);
/* Nobody gets a connection from here on; what is leased ends in its own time. The pool must not be
 * used any more, and is gone when its last connection is closed. */
void sqlite_pool_close(struct sqlite_pool *pool);

/* ---- a lease ---- */

/* Begins the call, which has been filled in. on_done comes when it has ended; never at once. */
void sqlite_pool_start_lease(struct sqlite_lease *lease, uint64_t limit_ms,
                             sqlite_lease_fn on_done);
void sqlite_pool_stop_lease(struct sqlite_lease *lease); /* the call ends soon: see sqlite_conn.h */
/* Gives it back, at any time: what runs is stopped, what was begun is rolled back, and nobody is
 * told. */
void sqlite_pool_release_lease(struct sqlite_lease *lease);

#endif
