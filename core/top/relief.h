/* Relief: when a worker fails at nothing but memory, the next generation is built by itself, for
 * nobody would be served any more. The server owns this; main thread only. */
#ifndef TOP_RELIEF_H
#define TOP_RELIEF_H

#include "net/loop.h"

#include <stdbool.h>

struct relief {
    uint64_t built_ms; /* when it was last tried, 0: never */
    uint64_t said_ms;  /* when the log was last told that it will not be tried */
};

/* A worker is short of memory. Whether to reload now; either way the log says what to do. */
bool relief_is_due(struct relief *relief, struct loop *loop, int worker, uint64_t memory_limit);

#endif
