/* Threads for work that takes long: a fixed most of them for the process, apart from those of
 * work.h, so that files and names never wait behind a computation. A thread ends when it has been
 * idle. */
#ifndef NET_THREADS_H
#define NET_THREADS_H

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct threads;

/* A member of what is to be done. `run` is called on one of the threads and may free it. */
struct thread_job {
    struct list link;
    void (*run)(struct thread_job *job);
};

struct threads *threads_new(unsigned most);
/* From any thread; first come, first served. 0, or a negative errno: there is no thread and none
 * can be made; `run` will not be called. */
int threads_add(struct threads *threads, struct thread_job *job);
/* From any thread. Whether it was still waiting: then `run` will not be called. */
bool threads_remove(struct threads *threads, struct thread_job *job);
/* Waits for every thread to end; nothing may be added any more. False: some have not within that
 * time, and `threads` lives on with them. True: it is freed. */
bool threads_end(struct threads *threads, uint32_t patience_ms);

#endif
