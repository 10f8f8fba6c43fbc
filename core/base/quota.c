/* Memory that all connections draw on: see quota.h. Those that hold no more than QUOTA_FREE touch
 * nothing that is shared. */
#include "base/quota.h"

#include "base/log.h"

#include <inttypes.h>
#include <time.h>

#define QUIET_MS 1000 /* between two lines of the log */

void quota_init(struct quota *quota, const char *name, size_t most)
{
    *quota = (struct quota){.name = name, .most = most};
}

void quota_set_most(struct quota *quota, size_t most)
{
    atomic_store_explicit(&quota->most, most, memory_order_relaxed);
}

/* In whole steps: who was given room has it for the few bytes that end what it writes. */
static size_t counted(size_t bytes)
{
    return bytes > QUOTA_FREE ? (bytes - 1) / QUOTA_FREE * QUOTA_FREE : 0;
}

static bool fits(const struct quota *quota, size_t used, size_t more)
{
    size_t most = quota_most(quota);
    return used <= most && more <= most - used;
}

bool quota_change(struct quota *quota, size_t before, size_t after)
{
    size_t had = counted(before);
    size_t wants = counted(after);
    if (!quota || wants == had)
        return true;
    if (wants < had) {
        atomic_fetch_sub_explicit(&quota->used, had - wants, memory_order_relaxed);
        return true;
    }
    size_t used = quota_used(quota);
    do {
        if (!fits(quota, used, wants - had))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&quota->used, &used, used + wants - had,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

bool quota_has_room(const struct quota *quota, size_t before, size_t after)
{
    if (!quota || counted(after) <= counted(before))
        return true;
    return fits(quota, quota_used(quota), counted(after) - counted(before));
}

void quota_take(struct quota *quota, size_t bytes)
{
    atomic_fetch_add_explicit(&quota->used, bytes, memory_order_relaxed);
}

void quota_give(struct quota *quota, size_t bytes)
{
    atomic_fetch_sub_explicit(&quota->used, bytes, memory_order_relaxed);
}

bool quota_is_over(const struct quota *quota, size_t spare)
{
    size_t used = quota_used(quota);
    return used > spare && used - spare > quota_most(quota);
}

size_t quota_most(const struct quota *quota)
{
    return atomic_load_explicit(&quota->most, memory_order_relaxed);
}

static uint64_t quota_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void quota_refuse(struct quota *quota)
{
    uint64_t count = atomic_fetch_add_explicit(&quota->refused, 1, memory_order_relaxed) + 1;
    uint64_t quiet_ms = atomic_load_explicit(&quota->quiet_until_ms, memory_order_relaxed);
    uint64_t ms = quota_now_ms();
    if (ms < quiet_ms ||
        !atomic_compare_exchange_strong_explicit(&quota->quiet_until_ms, &quiet_ms, ms + QUIET_MS,
                                                 memory_order_relaxed, memory_order_relaxed))
        return; /* or another worker says it */
    log_warn("%s is used up, by %zu bytes: %" PRIu64
             " refused or closed since the start. Raise it if the machine has the memory",
             quota->name, quota_used(quota), count);
}

size_t quota_used(const struct quota *quota)
{
    return atomic_load_explicit(&quota->used, memory_order_relaxed);
}
