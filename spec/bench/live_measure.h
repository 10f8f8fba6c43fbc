/* What live_client measures with: clocks, percentiles, and what a process has used according to
 * /proc. */
#ifndef LIVE_MEASURE_H
#define LIVE_MEASURE_H

#include <stdint.h>
#include <time.h>

#define NS_PER_S 1000000000ULL
#define NS_PER_MS 1000000ULL

static inline uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Counts of durations, about 1.5% apart from bucket to bucket. All zero is an empty one. */
#define HISTOGRAM_STEPS 64 /* buckets between two powers of two */
struct histogram {
    uint64_t counts[64 * HISTOGRAM_STEPS];
    uint64_t total;
};
void histogram_add(struct histogram *histogram, uint64_t ns);
/* The duration in microseconds that `part` (0 to 1) of all do not exceed; 0 when there are none. */
double histogram_us(const struct histogram *histogram, double part);

/* `pids` is a list like "12,13": a server and its children. Everything here exits when one of them
 * is gone. */
struct usage {
    uint64_t on_ns;      /* on a core, all threads, user and kernel */
    uint64_t waiting_ns; /* ready to run while the core was taken */
};
struct usage usage_read(const char *pids);
uint64_t memory_read(const char *pids); /* bytes of memory of its own and shared between its
                                           processes */

#endif
