/* The loop of one worker, owned by the worker. Deadlines run right after I/O, not in libuv's timer
 * phase before it, and by the time at which I/O was looked at: when the loop was held up, a request
 * that has arrived meanwhile beats its own time limit. See also conn_catch_up. */
#include "net/loop.h"

#include "base/mem.h"
#include "base/tally.h"
#include "net/conn.h"

#include <assert.h>
#include <string.h>

#define LOOP_PASSES 64 /* of jobs, before I/O gets its turn again */
#define DEADLINES_STEP 8
#define LOOP_EXACT_MS \
    1000 /* deadlines nearer than this are counted from the real time, see below */
#define LOOP_NEVER UINT64_MAX

/* ---- jobs ---- */

static bool is_waiting(const struct loop_job *job)
{
    return job->link.next != NULL && !list_is_empty(&job->link);
}

void loop_defer(struct loop *loop, struct loop_job *job)
{
    if (!is_waiting(job))
        list_push(&loop->jobs, &job->link);
}

void loop_defer_next(struct loop *loop, struct loop_job *job)
{
    if (!is_waiting(job))
        list_push(&loop->later, &job->link);
}

void loop_cancel_job(struct loop_job *job)
{
    if (is_waiting(job))
        list_remove(&job->link);
}

/* Must the next poll return at once? */
static bool loop_has_more(struct loop *loop)
{
    return !list_is_empty(&loop->jobs) || !list_is_empty(&loop->later) || loop->turn.queued > 0 ||
           loop_now_ms(loop) >= loop->timer_ms;
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* being active is all it is for */
}

static void run_passes(struct loop *loop)
{
    for (int pass = 0; pass < LOOP_PASSES && !list_is_empty(&loop->jobs); pass++) {
        struct list now;
        struct list *link;
        list_take(&now, &loop->jobs);
        while ((link = list_shift(&now)) != NULL) {
            struct loop_job *job = container_of(link, struct loop_job, link);
            job->run(job); /* may defer, cancel and free any job */
        }
    }
}

static void run_jobs(struct loop *loop)
{
    run_passes(loop);
    if (loop_has_more(loop))
        uv_idle_start(&loop->idle, on_idle);
    else
        uv_idle_stop(&loop->idle);
}

/* ---- deadlines ---- */

static void on_timer(uv_timer_t *timer)
{
    (void)timer; /* on_check sees that the time has come */
}

static void arm_timer(struct loop *loop, uint64_t at_ms)
{
    uint64_t now_ms = loop_now_ms(loop);
    loop->timer_ms = at_ms;
    if (at_ms == LOOP_NEVER)
        uv_timer_stop(&loop->timer);
    else
        uv_timer_start(&loop->timer, on_timer, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

static void run_deadlines(struct loop *loop)
{
    loop->timer_ms = 0; /* nothing is earlier: the timer is set once, below */
    uint64_t now_ms = loop_now_ms(loop);
    turn_begin(&loop->turn, TURN_DEADLINES);
    while (deadlines_run(&loop->deadlines, now_ms, DEADLINES_STEP)) {
        if (turn_ends(&loop->turn, TURN_DEADLINES))
            break; /* the others are still due next turn */
    }
    arm_timer(loop, deadlines_next_ms(&loop->deadlines));
}

static uint64_t clock_ms(const struct loop *loop)
{
    return uv_hrtime() / 1000000 + loop->skew_ms;
}

uint64_t loop_late_ms(struct loop *loop)
{
    return clock_ms(loop) - loop_now_ms(loop);
}

/* libuv's clock stands still during a turn. For a limit of many seconds that is good enough; a
 * short sleep asked for after 50 ms of work would be over at once, so for those the clock is read
 * again (25 ns). libuv's stays: what falls due by it was due when I/O was looked at. */
void loop_set_deadline(struct loop *loop, struct deadline *deadline, uint64_t after_ms)
{
    bool is_exact = after_ms < LOOP_EXACT_MS;
    uint64_t now_ms = is_exact ? clock_ms(loop) : loop_now_ms(loop);
    loop->has_exact |= is_exact;
    deadlines_set(&loop->deadlines, deadline, now_ms + after_ms);
    uint64_t next_ms = deadlines_next_ms(&loop->deadlines);
    if (next_ms < loop->timer_ms)
        arm_timer(loop, next_ms);
}

/* The timer is left as it is: waking once for nothing is cheaper than setting it each time. */
void loop_clear_deadline(struct loop *loop, struct deadline *deadline)
{
    deadlines_clear(&loop->deadlines, deadline);
}

void loop_skip(struct loop *loop, uint64_t until_ms)
{
    uint64_t now_ms = loop_now_ms(loop);
    uint64_t next_ms = deadlines_next_ms(&loop->deadlines);
    uint64_t to_ms = next_ms < until_ms ? next_ms : until_ms;
    if (to_ms > now_ms)
        loop->skew_ms += to_ms - now_ms;
    arm_timer(loop, next_ms);
}

/* ---- messages ---- */

void loop_post(struct loop *loop, struct loop_message *message)
{
    struct loop_message *newest = atomic_load_explicit(&loop->messages, memory_order_relaxed);
    do {
        message->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&loop->messages, &newest, message,
                                                    memory_order_release, memory_order_relaxed));
    uv_async_send(&loop->async);
}

static struct loop_message *take_messages(struct loop *loop)
{
    struct loop_message *newest =
        atomic_exchange_explicit(&loop->messages, NULL, memory_order_acquire);
    struct loop_message *oldest = NULL;
    while (newest != NULL) {
        struct loop_message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static void run_messages(struct loop *loop)
{
    struct loop_message *message = take_messages(loop);
    while (message != NULL) {
        struct loop_message *next = message->next;
        message->run(loop, message); /* frees it */
        message = next;
    }
}

/* ---- the phases of a turn ---- */

static void on_async(uv_async_t *async)
{
    run_messages(async->loop->data);
}

static void on_check(uv_check_t *check)
{
    struct loop *loop = check->loop->data;
    struct list *link;
    uint32_t turns = atomic_load_explicit(&loop->turns, memory_order_relaxed);
    /* Nobody else writes it. */
    atomic_store_explicit(&loop->turns, turns + 1, memory_order_relaxed);
    if (loop_now_ms(loop) >= loop->timer_ms)
        run_deadlines(loop);
    while ((link = list_shift(&loop->later)) != NULL)
        list_push(&loop->jobs, link);
    run_passes(loop);
    turn_serve(loop);
    run_jobs(loop);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct loop *loop = prepare->loop->data;
    run_jobs(loop); /* what closed handles have left to do, before the loop sleeps */
    if (loop->has_exact)
        uv_update_time(&loop->uv); /* from which libuv counts how long it may sleep */
    loop->has_exact = false;
    turn_end(&loop->turn);
}

/* Only `async` keeps uv_run going: the loop ends when it is told to. */
static void start_handles(struct loop *loop)
{
    uv_timer_init(&loop->uv, &loop->timer);
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_check_init(&loop->uv, &loop->check);
    uv_idle_init(&loop->uv, &loop->idle);
    uv_prepare_start(&loop->prepare, on_prepare);
    uv_check_start(&loop->check, on_check);
    uv_unref((uv_handle_t *)&loop->timer);
    uv_unref((uv_handle_t *)&loop->prepare);
    uv_unref((uv_handle_t *)&loop->check);
    uv_unref((uv_handle_t *)&loop->idle);
}

/* libuv answers ENOMEM where it uses malloc and calloc, and calls abort where it uses realloc: for
 * its table of descriptors. */
static void *try_calloc(size_t count, size_t size)
{
    void *ptr = mem_try_alloc(count * size);
    return ptr ? memset(ptr, 0, count * size) : NULL;
}

static pthread_once_t allocator_once = PTHREAD_ONCE_INIT;

static void replace_allocator(void)
{
    uv_replace_allocator(mem_try_alloc, mem_realloc, try_calloc, mem_free);
}

int loop_init(struct loop *loop, void *owner)
{
    pthread_once(&allocator_once, replace_allocator);
    *loop = (struct loop){.owner = owner, .linger_ms = LOOP_LINGER_MS, .timer_ms = LOOP_NEVER};
    int err = uv_loop_init(&loop->uv);
    if (err)
        return err;
    loop->uv.data = loop;
    err = uv_async_init(&loop->uv, &loop->async, on_async);
    if (err) {
        uv_loop_close(&loop->uv);
        return err;
    }
    start_handles(loop);
    deadlines_init(&loop->deadlines);
    list_init(&loop->jobs);
    list_init(&loop->later);
    list_init(&loop->stopped);
    list_init(&loop->swept);
    list_init(&loop->roomy);
    list_init(&loop->files);
    turn_init(&loop->turn);
    bytes_init(&loop->cork);
    loop->read_buffer = mem_alloc(LOOP_READ_SIZE);
    tally_add(TALLY_LOOP, 1);
    return 0;
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

static void check_closing(uv_handle_t *handle, void *arg)
{
    (void)arg;
    assert(uv_is_closing(handle) && "a handle was left open when its loop ended");
    (void)handle;
}

void loop_deinit(struct loop *loop)
{
    while (loop->works > 0)
        uv_run(&loop->uv, UV_RUN_ONCE);
    run_messages(loop);
    run_jobs(loop);
    loop_clear_deadline(loop, &loop->sweep);

    uv_close((uv_handle_t *)&loop->timer, NULL);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->check, NULL);
    uv_close((uv_handle_t *)&loop->idle, NULL);
    uv_close((uv_handle_t *)&loop->async, NULL);
    uv_walk(&loop->uv, conn_cut_ending, NULL);
    uv_walk(&loop->uv, check_closing, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    run_passes(loop); /* what the last closed handles have left to do */
    int err = uv_loop_close(&loop->uv);
    assert(err == 0);
    (void)err;

    deadlines_deinit(&loop->deadlines);
    bytes_deinit(&loop->cork);
    mem_free(loop->read_buffer);
    tally_add(TALLY_LOOP, -1);
}
