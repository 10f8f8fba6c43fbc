/* A piece of work for libuv's thread pool: what blocks (a database file, a slow hash) runs there,
 * and the loop hears when it is done. It is a member of an object that must live until on_done. */
#ifndef NET_WORK_H
#define NET_WORK_H

#include "net/loop.h"

#include <uv.h>

struct work;

struct work {
    uv_work_t request;
    void (*run)(struct work *work);              /* on a thread of the pool */
    void (*on_done)(struct work *work, int err); /* on the loop; UV_ECANCELED: it never ran */
};

/* The caller has set run and on_done. */
void work_start(struct work *work, struct loop *loop);
/* on_done still comes: with UV_ECANCELED when it had not begun, else when it has ended. */
void work_cancel(struct work *work);

#endif
