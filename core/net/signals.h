/* Signals of the process, as callbacks of the main thread's loop. */
#ifndef NET_SIGNALS_H
#define NET_SIGNALS_H

#include "net/loop.h"

#define SIGNALS_MAX 4

typedef void (*signals_fn)(struct loop *loop, int number);

struct signals {
    uv_signal_t watchers[SIGNALS_MAX];
    int count;
    signals_fn on_signal;
};

/* Watches `count` signal numbers. 0, or an error with nothing watched. */
int signals_start(struct signals *signals, struct loop *loop, const int *numbers, int count,
                  signals_fn on_signal);
/* They are ignored from here on; `signals` must outlive the loop. */
void signals_stop(struct signals *signals);
const char *signals_name(int number); /* "SIGTERM" */

#endif
