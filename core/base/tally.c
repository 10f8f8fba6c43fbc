/* Counts of what is open in the whole process. They are process-wide on purpose, as the question
 * they answer is ("was anything left?"); nothing else may read them to decide what to do. */
#include "base/tally.h"

#include <assert.h>
#include <stdatomic.h>

static _Atomic int64_t counts[TALLY_KINDS];

static const char *const names[TALLY_KINDS] = {
    [TALLY_CONN] = "conn",     [TALLY_REQUEST] = "request",   [TALLY_WEBSOCKET] = "websocket",
    [TALLY_TASK] = "task",     [TALLY_FILE] = "file",         [TALLY_LISTENER] = "listener",
    [TALLY_LOOP] = "loop",     [TALLY_OUTLET] = "outlet",     [TALLY_FEED] = "feed",
    [TALLY_THREAD] = "thread", [TALLY_DATABASE] = "database", [TALLY_TRANSFER] = "transfer",
    [TALLY_PG] = "pg",
};

void tally_add(enum tally_kind kind, int delta)
{
    assert(kind < TALLY_KINDS);
    atomic_fetch_add_explicit(&counts[kind], delta, memory_order_relaxed);
}

int64_t tally_count(enum tally_kind kind)
{
    assert(kind < TALLY_KINDS);
    return atomic_load_explicit(&counts[kind], memory_order_relaxed);
}

const char *tally_name(enum tally_kind kind)
{
    assert(kind < TALLY_KINDS);
    return names[kind];
}
