/* Counting down to the allocation that fails: see scarce.h. */
#include "base/scarce.h"

#ifdef NEAP_TESTING
#include <stdatomic.h>

static _Atomic long left[SCARCE_KINDS]; /* until one fails; 0: none does */

/* Lua asks a second time, after it has collected garbage, before it raises. */
static _Thread_local bool fails_again;

long scarce_arm(enum scarce_kind kind, long n)
{
    return atomic_exchange(&left[kind], n);
}

bool scarce_is_armed(enum scarce_kind kind)
{
    return atomic_load_explicit(&left[kind], memory_order_relaxed) > 0;
}

/* The one that counts down to 0 is it. */
static bool is_last(enum scarce_kind kind)
{
    long now = atomic_load_explicit(&left[kind], memory_order_relaxed);
    while (now > 0)
        if (atomic_compare_exchange_weak(&left[kind], &now, now - 1))
            return now == 1;
    return false;
}

bool scarce_hits(enum scarce_kind kind)
{
    if (kind != SCARCE_LUA)
        return is_last(kind);
    bool fails = fails_again || is_last(kind);
    fails_again = fails && !fails_again;
    return fails;
}
#else
typedef int nothing_here; /* a file may not be empty */
#endif
