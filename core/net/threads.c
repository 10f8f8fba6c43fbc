/* Threads for work that takes long. One lock guards the queue and the counts; threads are detached,
 * and threads_end waits for their number to be 0. */
#include "net/threads.h"

#include "base/mem.h"
#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#define THREADS_IDLE_MS 5000
#define STACK_SIZE (1024 * 1024) /* Lua's C calls nest at most 200 deep */

struct threads {
    pthread_mutex_t lock;
    pthread_cond_t work;  /* there is something to do, or it is the end */
    pthread_cond_t ended; /* the last thread has gone */
    struct list queue;
    unsigned most;
    unsigned count;
    unsigned idle;
    bool is_ending;
};

static struct timespec after_ms(uint32_t ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

/* With the lock held. NULL: it is time to end. */
static struct thread_job *next_job(struct threads *threads)
{
    struct timespec until = after_ms(THREADS_IDLE_MS);
    int err = 0;
    threads->idle++;
    while (list_is_empty(&threads->queue) && !threads->is_ending && err != ETIMEDOUT)
        err = pthread_cond_timedwait(&threads->work, &threads->lock, &until);
    threads->idle--;
    struct list *link = list_shift(&threads->queue);
    return link != NULL ? container_of(link, struct thread_job, link) : NULL;
}

static void *thread_main(void *arg)
{
    struct threads *threads = arg;
    struct thread_job *job;
    pthread_mutex_lock(&threads->lock);
    while ((job = next_job(threads)) != NULL) {
        pthread_mutex_unlock(&threads->lock);
        job->run(job); /* job can be gone after this */
        pthread_mutex_lock(&threads->lock);
    }
    if (--threads->count == 0)
        pthread_cond_signal(&threads->ended);
    pthread_mutex_unlock(&threads->lock); /* threads can be gone after this */
    return NULL;
}

static int start_thread(struct threads *threads)
{
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    int err = thread_start(&thread, &attr, thread_main, threads);
    pthread_attr_destroy(&attr);
    if (err == 0)
        threads->count++;
    return err;
}

/* How many wait beyond those who have an idle thread coming. */
static bool needs_thread(const struct threads *threads)
{
    unsigned waiting = 0;
    list_each (link, &threads->queue)
        if (++waiting > threads->idle)
            return threads->count < threads->most;
    return false;
}

int threads_add(struct threads *threads, struct thread_job *job)
{
    int err = 0;
    pthread_mutex_lock(&threads->lock);
    list_push(&threads->queue, &job->link);
    if (needs_thread(threads))
        err = start_thread(threads);
    if (threads->count > 0)
        err = 0; /* one of the others will come to it */
    if (err != 0)
        list_remove(&job->link);
    pthread_cond_signal(&threads->work);
    pthread_mutex_unlock(&threads->lock);
    return err;
}

bool threads_remove(struct threads *threads, struct thread_job *job)
{
    pthread_mutex_lock(&threads->lock);
    bool was_waiting = !list_is_empty(&job->link);
    list_remove(&job->link);
    pthread_mutex_unlock(&threads->lock);
    return was_waiting;
}

struct threads *threads_new(unsigned most)
{
    struct threads *threads = mem_calloc(sizeof(*threads));
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&threads->lock, NULL);
    pthread_cond_init(&threads->work, &clock);
    pthread_cond_init(&threads->ended, &clock);
    pthread_condattr_destroy(&clock);
    list_init(&threads->queue);
    threads->most = most;
    return threads;
}

bool threads_end(struct threads *threads, uint32_t patience_ms)
{
    struct timespec until = after_ms(patience_ms);
    int err = 0;
    pthread_mutex_lock(&threads->lock);
    threads->is_ending = true;
    pthread_cond_broadcast(&threads->work);
    while (threads->count > 0 && err != ETIMEDOUT)
        err = pthread_cond_timedwait(&threads->ended, &threads->lock, &until);
    bool has_ended = threads->count == 0;
    pthread_mutex_unlock(&threads->lock);
    if (!has_ended)
        return false;
    pthread_cond_destroy(&threads->work);
    pthread_cond_destroy(&threads->ended);
    pthread_mutex_destroy(&threads->lock);
    mem_free(threads);
    return true;
}
