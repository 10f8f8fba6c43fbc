/* Tests of work on threads: who runs it, what cancelling does, and that a loop does not end before
 * what it has begun. The threads are few, so that a gate can hold up all of them. */
#include "net.h"

#include "net/work.h"

#include <pthread.h>

#define THREADS 2
#define MANY 1000

struct piece {
    struct work work;
    pthread_t thread;
    int runs, dones, err;
    struct loop *again; /* on_done starts it once more */
};

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int at_gate;

static void run(struct work *work)
{
    struct piece *piece = container_of(work, struct piece, work);
    piece->runs++;
    piece->thread = pthread_self();
}

static void run_behind_gate(struct work *work)
{
    at_gate++;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    run(work);
}

static void on_done(struct work *work, int err)
{
    struct piece *piece = container_of(work, struct piece, work);
    struct loop *again = piece->again;
    piece->dones++;
    piece->err = err;
    piece->again = NULL;
    if (again != NULL)
        work_start(work, again);
}

static void start(struct piece *piece, struct loop *loop, void (*how)(struct work *work))
{
    *piece = (struct piece){.work = {.run = how, .on_done = on_done}};
    work_start(&piece->work, loop);
}

static void test_running(struct loop *loop)
{
    static struct piece pieces[MANY];
    int done = 0;
    for (int i = 0; i < MANY; i++)
        start(&pieces[i], loop, run);
    pieces[0].again = loop;
    check(pieces[MANY - 1].dones == 0, "work: on_done does not come at once");
    UNTIL(loop, loop->works == 0);
    for (int i = 1; i < MANY; i++)
        done += pieces[i].runs == 1 && pieces[i].dones == 1 && pieces[i].err == 0 &&
                !pthread_equal(pieces[i].thread, pthread_self());
    check(done == MANY - 1, "work: each piece runs once, on another thread, and is told");
    check(pieces[0].runs == 2 && pieces[0].dones == 2, "work: on_done may start it again");
}

static void test_cancelling(struct loop *loop)
{
    struct piece held[THREADS], waiting, kept;
    pthread_mutex_lock(&gate);
    for (int i = 0; i < THREADS; i++)
        start(&held[i], loop, run_behind_gate);
    UNTIL(loop, at_gate == THREADS);
    start(&waiting, loop, run);
    start(&kept, loop, run);
    work_cancel(&held[0].work);
    work_cancel(&waiting.work);
    work_cancel(&waiting.work);
    check(waiting.dones == 0, "work: a cancelled piece is not told at once");
    UNTIL(loop, waiting.dones > 0);
    check(waiting.dones == 1 && waiting.err == UV_ECANCELED && waiting.runs == 0,
          "work: cancelled before it began, it never runs, and no thread is waited for");
    check(held[0].dones == 0 && kept.dones == 0, "work: what has begun goes on");
    pthread_mutex_unlock(&gate);
    UNTIL(loop, loop->works == 0);
    check(held[0].dones == 1 && held[0].err == 0, "work: cancelled too late, it ends as usual");
    check(kept.runs == 1 && waiting.dones == 1, "work: what came behind a cancelled piece runs");
    work_cancel(&kept.work);
    check(loop->works == 0, "work: cancelling what is over has no effect");
}

void test_work(void)
{
    struct loop loop;
    struct piece last;
    work_set_threads(THREADS);
    work_begin();
    loop_init(&loop, NULL);
    test_running(&loop);
    test_cancelling(&loop);
    start(&last, &loop, run);
    loop_deinit(&loop);
    check(last.dones == 1, "work: a loop ends after its work");
}
