/* Counting down to the allocation that fails: see scarce.h. */
#include "base/scarce.h"

#ifdef NEAP_TESTING
#include <stdatomic.h>

static _Atomic long left[SCARCE_KINDS]; /* until one fails; 0: none does */

static _Atomic unsigned times; /* armed */

/* Lua asks a second time, after it has collected garbage, before it raises; but not for a state
 * that is just being made. So this is true for what is armed at the time only. */
static _Thread_local unsigned fails_again;

long scarce_arm(enum scarce_kind kind, long n)
{
    atomic_fetch_add(&times, 1);
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
    unsigned now = atomic_load_explicit(&times, memory_order_relaxed);
    bool is_second = fails_again == now && now != 0;
    bool fails = is_second || is_last(kind);
    fails_again = fails && !is_second ? now : 0;
    return fails;
}
#else
typedef int nothing_here; /* a file may not be empty */
#endif
