/* Work on threads of the process. Not by uv_queue_work, which signals a condition variable: glibc
 * lets the one who signals wait until threads that were woken earlier have had a core, many
 * milliseconds on a busy machine, and the loop is the one. Here it takes no lock and waits for
 * nobody. */
#include "net/work.h"

#include "base/mem.h"
#include "base/thread.h"

#include <assert.h>
#include <pthread.h>
#include <semaphore.h>

/* What is queued. When its work is cancelled it stays until a thread comes for it, and finds it
 * empty. */
struct work_ticket {
    struct work_ticket *next;
    struct work *_Atomic work; /* whoever takes it out has it: a thread, or work_cancel */
};

static pthread_once_t first = PTHREAD_ONCE_INIT;
static pthread_once_t others = PTHREAD_ONCE_INIT;
static int first_error;
static unsigned thread_count = 4;
static sem_t waiting;                                    /* tickets that no thread comes for yet */
static struct work_ticket *_Atomic added;                /* by loops, newest first */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of `queue`, among the threads */
static struct work_ticket *queue;                        /* oldest first; older than `added` */

/* ---- the threads ---- */

static struct work_ticket *reversed(struct work_ticket *newest)
{
    struct work_ticket *oldest = NULL;
    while (newest != NULL) {
        struct work_ticket *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

/* `waiting` has said that there is one. */
static struct work_ticket *take_ticket(void)
{
    pthread_mutex_lock(&lock);
    if (queue == NULL)
        queue = reversed(atomic_exchange(&added, NULL));
    struct work_ticket *ticket = queue;
    queue = ticket->next;
    pthread_mutex_unlock(&lock);
    return ticket;
}

static void *thread_main(void *arg)
{
    for (;;) {
        if (sem_wait(&waiting) != 0)
            continue; /* a signal */
        struct work_ticket *ticket = take_ticket();
        struct work *work = atomic_exchange(&ticket->work, NULL);
        if (work == NULL) {
            mem_free(ticket);
            continue;
        }
        work->run(work);
        loop_post(work->loop, &work->done); /* work can be gone after this */
    }
    return arg;
}

static int start_one(void)
{
    pthread_t thread;
    int err = thread_start(&thread, NULL, thread_main, NULL);
    if (err == 0)
        pthread_detach(thread);
    return err;
}

static void start_first(void)
{
    sem_init(&waiting, 0, 0);
    first_error = start_one();
}

/* Fewer than wanted will do. */
static void start_others(void)
{
    for (unsigned i = 1; i < thread_count && start_one() == 0; i++)
        ;
}

int work_begin(void)
{
    pthread_once(&first, start_first);
    return first_error;
}

void work_set_threads(unsigned count)
{
    thread_count = count;
}

/* ---- on the loop ---- */

static void work_on_done(struct loop *loop, struct loop_message *message)
{
    struct work *work = container_of(message, struct work, done);
    int err = work->ticket == NULL ? UV_ECANCELED : 0;
    mem_free(work->ticket);
    work->ticket = NULL;
    loop->works--;
    work->on_done(work, err); /* may free it, or start it again */
}

static void add_ticket(struct work_ticket *ticket)
{
    ticket->next = atomic_load(&added);
    while (!atomic_compare_exchange_weak(&added, &ticket->next, ticket))
        ; /* another loop was faster */
    sem_post(&waiting);
}

void work_start(struct work *work, struct loop *loop)
{
    assert(first_error == 0 && "work_begin comes first");
    pthread_once(&others, start_others);
    work->loop = loop;
    work->done.run = work_on_done;
    work->ticket = mem_alloc(sizeof(*work->ticket));
    atomic_init(&work->ticket->work, work);
    loop->works++;
    add_ticket(work->ticket);
}

void work_cancel(struct work *work)
{
    if (work->ticket == NULL || atomic_exchange(&work->ticket->work, NULL) == NULL)
        return;          /* it is over, or has begun */
    work->ticket = NULL; /* it is the thread's now */
    loop_post(work->loop, &work->done);
}
