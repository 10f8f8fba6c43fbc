/* See thread.h. */
#include "base/thread.h"

#include <errno.h>
#include <string.h>

int thread_start(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
    return -pthread_create(thread, attr, run, arg);
}

const char *thread_error(int err)
{
    return err == -EAGAIN ? "no more threads may be started; is there a limit on processes (ulimit "
                            "-u, or pids.max of a container)?"
                          : strerror(-err);
}
