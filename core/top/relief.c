/* Relief: see relief.h. */
#include "top/relief.h"

#include "base/log.h"

#define EVERY_MS (5u * 60 * 1000)
#define SAY_MS 60000

#define ADVICE                                                                                   \
    "Look for tables that only grow, such as caches and lists in modules (what neap.keep holds " \
    "goes along), or allow more with limits.memory; `neap ps` shows what runs"

static double megabytes(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

/* A second time so soon means that the code needs more than it may have; building it again and
 * again would help nobody. */
static bool is_too_soon(const struct relief *relief, uint64_t now_ms)
{
    return relief->built_ms != 0 && now_ms - relief->built_ms < EVERY_MS;
}

bool relief_is_due(struct relief *relief, struct loop *loop, int worker, uint64_t memory_limit)
{
    uint64_t now_ms = loop_now_ms(loop);
    if (!is_too_soon(relief, now_ms)) {
        log_error("worker %d: for seconds nearly all tasks have failed for lack of memory "
                  "(limits.memory is %.4g MB): building the next generation, whose memory is "
                  "empty. " ADVICE,
                  worker, megabytes(memory_limit));
        relief->built_ms = now_ms;
        relief->said_ms = 0;
        return true;
    }
    if (relief->said_ms != 0 && now_ms - relief->said_ms < SAY_MS)
        return false;
    relief->said_ms = now_ms;
    log_error("worker %d: again nearly all tasks fail for lack of memory, %.0f s after a "
              "generation "
              "was built for that: the next one not before 5 minutes are over. " ADVICE,
              worker, (double)(now_ms - relief->built_ms) / 1000);
    return false;
}
