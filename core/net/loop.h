/* The loop of one worker: libuv's loop, the deadlines behind one timer, the work to do at the end
 * of a turn, and a door for other threads (loop_post, the only function they may call).
 *
 * One turn, by libuv's phases:
 *   poll     sleeps, unless there is more to do at once; then callbacks of I/O as epoll has them,
 *            and what other threads have posted
 *   check    due deadlines; the jobs of loop_defer_next so far, then all jobs until none is left
 *            (or 64 times over); the connections that queue for their turn; jobs again
 *   closing  callbacks of closed handles: here the memory of connections goes
 *   timers   nothing: our timer only ends the sleep
 *   prepare  jobs again, those that closing has made; the budget of the turn begins again
 * So a job deferred anywhere runs before the loop sleeps. What a turn may cost: turn.h. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "base/bytes.h"
#include "base/list.h"
#include "base/quota.h"
#include "net/deadline.h"
#include "net/turn.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <uv.h>

#define LOOP_READ_SIZE 65536
#define LOOP_LINGER_MS 30000

struct conn;
struct loop;

/* Something to do at the end of this loop turn. All zero but `run` is a job that is not waiting. */
struct loop_job {
    struct list link;
    void (*run)(struct loop_job *job);
};

/* Something another thread asks for. It is given to `run` on the loop's thread, which frees it. */
struct loop_message {
    struct loop_message *next;
    void (*run)(struct loop *loop, struct loop_message *message);
};

struct loop {
    uv_loop_t uv;
    uv_timer_t timer;  /* wakes the loop for the first deadline */
    uint64_t timer_ms; /* when that is, UINT64_MAX while there is none */
    uint64_t skew_ms;  /* how far the clock was moved on by loop_skip */
    bool has_exact;    /* a deadline was set by the time, not by when this turn began */
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* keeps the turn from sleeping while jobs wait */
    uv_async_t async;
    struct deadlines deadlines;
    struct turn turn;
    struct list jobs;                      /* for the end of this turn */
    struct list later;                     /* for the end of the next one */
    struct loop_message *_Atomic messages; /* posted, newest first */
    _Atomic uint32_t turns;                /* so many have begun their work; any thread may look */
    unsigned works;                        /* under way in threads: see work.h */
    void *owner;                           /* the worker */
    char *read_buffer;                     /* LOOP_READ_SIZE, shared by all connections */
    struct conn *corked;                   /* whose bytes are in `cork`, or NULL */
    struct bytes cork;
    struct list stopped; /* those not reading: to be looked at in this round of the sweep ... */
    struct list swept;   /* ... or in the next */
    struct deadline sweep;
    struct list roomy; /* outboxes that have room, in turn */
    struct loop_job roomy_job;
    struct list files; /* that are being sent and have room, in turn */
    struct loop_job files_job;
    uint32_t linger_ms; /* at most, reading on after a refusal; the worker may change it */
    /* Of all loops together, set by the worker; NULL: no limit. */
    struct quota *output; /* written, and not taken by the kernel */
    struct quota *input;  /* received, and not taken by a handler */
};

int loop_init(struct loop *loop, void *owner);
void loop_run(struct loop *loop);  /* until loop_stop */
void loop_stop(struct loop *loop); /* loop_run returns at the end of this turn */
/* Waits for work in threads, runs what was posted and deferred, closes its own handles and what is
 * closing; asserts that no other is open. */
void loop_deinit(struct loop *loop);
static inline uint64_t loop_now_ms(struct loop *loop)
{
    return uv_now(&loop->uv) + loop->skew_ms;
}
/* How long this turn has taken; loop_now_ms stands still meanwhile. */
uint64_t loop_late_ms(struct loop *loop);
/* From any thread: another number each time that it has been around. */
static inline uint32_t loop_turns(const struct loop *loop)
{
    return atomic_load_explicit(&loop->turns, memory_order_relaxed);
}
void loop_set_deadline(struct loop *loop, struct deadline *deadline, uint64_t after_ms);
void loop_clear_deadline(struct loop *loop, struct deadline *deadline);
/* For tests: moves the clock on to the next deadline, at most to `until_ms`. What is due runs in
 * the next turn, as if the time had passed. */
void loop_skip(struct loop *loop, uint64_t until_ms);
/* At the end of this turn; called while jobs run, right after those. No effect when already
 * waiting. */
void loop_defer(struct loop *loop, struct loop_job *job);
/* After the next look at I/O: for the next slice of a long piece of work. No effect when already
 * waiting. */
void loop_defer_next(struct loop *loop, struct loop_job *job);
void loop_cancel_job(struct loop_job *job);
/* From any thread. Messages run in the order of posting. */
void loop_post(struct loop *loop, struct loop_message *message);

#endif
