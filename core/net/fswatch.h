/* Tells that something has changed in one of several folders: a file was written, made, renamed or
 * removed there. What, it does not say: whoever wants to know looks. */
#ifndef NET_FSWATCH_H
#define NET_FSWATCH_H

#include "net/loop.h"

struct fswatch {
    struct loop *loop;
    struct list folders;
    void (*on_change)(struct fswatch *watch);
    unsigned round; /* counts fswatch_begin */
};

void fswatch_init(struct fswatch *watch, struct loop *loop,
                  void (*on_change)(struct fswatch *watch));
void fswatch_close(struct fswatch *watch); /* no call comes any more */
/* Names all folders, each by fswatch_add, between these two: those not named are forgotten. */
void fswatch_begin(struct fswatch *watch);
/* Again: no effect, unless it is another one of that name by now. */
int fswatch_add(struct fswatch *watch, const char *dir);
void fswatch_end(struct fswatch *watch);

#endif
