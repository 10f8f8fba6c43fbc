/* Preloaded by `instructions`: what valgrind runs is some fifty times slower, and so is its clock here.
 * Else the server would slice work that takes it no time. */
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SLOWER 50

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (syscall(SYS_clock_gettime, clock, now) != 0)
        return -1;
    if (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE)
        return 0;
    uint64_t ns = ((uint64_t)now->tv_sec * 1000000000 + (uint64_t)now->tv_nsec) / SLOWER;
    *now = (struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    return 0;
}
