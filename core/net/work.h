/* A piece of work for a thread: what blocks (a database file, a slow hash) runs there, and the loop
 * hears when it is done. It is a member of an object that must live until on_done. All loops share
 * the threads, which serve whoever came first. */
#ifndef NET_WORK_H
#define NET_WORK_H

#include "net/loop.h"

struct work;
struct work_ticket;

struct work {
    void (*run)(struct work *work);              /* on a thread of the pool */
    void (*on_done)(struct work *work, int err); /* on the loop; UV_ECANCELED: it never ran */
    /* For work.c; zero before its first start. */
    struct loop *loop;
    struct loop_message done;
    struct work_ticket *ticket; /* NULL: not under way, or cancelled */
};

void work_set_threads(unsigned count); /* before the first start; else 4 */
/* Starts the first thread, without which there is no work; the others come with it. 0, or a
 * negative errno: work must not be started. */
int work_begin(void);
/* The caller has set run and on_done. */
void work_start(struct work *work, struct loop *loop);
/* on_done still comes: with UV_ECANCELED when it had not begun, else when it has ended. */
void work_cancel(struct work *work);

#endif
