/* Starting threads. A limit on processes (ulimit -u, pids.max) can make any of them fail: what must
 * exist starts with the server, which says why it cannot; all else is an error to who asked. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stddef.h>

/* As pthread_create; 0 or a negative errno. */
int thread_start(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
const char *thread_error(int err); /* what it means, and what to try */

#endif
