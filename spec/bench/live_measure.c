/* What live_client measures with: clocks, percentiles, and what a process has used according to
 * /proc. */
#include "live_measure.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- percentiles ------------------------------------------------------------------------------ */

static unsigned bucket_of(uint64_t ns)
{
    if (ns < HISTOGRAM_STEPS)
        return (unsigned)ns;
    unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - 6; /* 6 bits behind the leading one */
    return (shift + 1) * HISTOGRAM_STEPS + (unsigned)(ns >> shift) - HISTOGRAM_STEPS;
}

static uint64_t bucket_middle(unsigned bucket)
{
    if (bucket < HISTOGRAM_STEPS)
        return bucket;
    unsigned shift = bucket / HISTOGRAM_STEPS - 1;
    uint64_t low = (uint64_t)(bucket % HISTOGRAM_STEPS + HISTOGRAM_STEPS) << shift;
    return low + ((1ULL << shift) >> 1);
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
    histogram->counts[bucket_of(ns)]++;
    histogram->total++;
}

double histogram_us(const struct histogram *histogram, double part)
{
    if (histogram->total == 0)
        return 0;
    uint64_t wanted = (uint64_t)((double)(histogram->total - 1) * part) + 1;
    unsigned bucket = 0;
    for (uint64_t seen = histogram->counts[0]; seen < wanted; seen += histogram->counts[bucket])
        bucket++;
    return (double)bucket_middle(bucket) / 1000.0;
}

/* --- /proc ------------------------------------------------------------------------------------ */

static void is_gone(int pid)
{
    fprintf(stderr, "live_client: the server is gone, there is no process %d\n", pid);
    exit(1);
}

/* Reads the start of a file; false when there is none: a thread that has just ended. */
static int read_start(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
    return 1;
}

static void usage_add_threads(struct usage *usage, int pid)
{
    char path[300], text[128];
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        is_gone(pid);
    for (struct dirent *task = readdir(tasks); task; task = readdir(tasks)) {
        unsigned long long on, waiting;
        if (!isdigit((unsigned char)task->d_name[0]))
            continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%.20s/schedstat", pid, task->d_name);
        if (!read_start(path, text, sizeof(text)) || sscanf(text, "%llu %llu", &on, &waiting) != 2)
            continue;
        usage->on_ns += on;
        usage->waiting_ns += waiting;
    }
    closedir(tasks);
}

static const char *pid_next(const char *pids, int *pid)
{
    char *end;
    *pid = (int)strtol(pids, &end, 10);
    return *end == ',' ? end + 1 : end;
}

struct usage usage_read(const char *pids)
{
    struct usage usage = {0, 0};
    while (*pids) {
        int pid;
        pids = pid_next(pids, &pid);
        usage_add_threads(&usage, pid);
    }
    return usage;
}

static uint64_t status_kib(const char *status, const char *name)
{
    const char *line = strstr(status, name);
    return line ? strtoull(line + strlen(name), NULL, 10) : 0;
}

uint64_t memory_read(const char *pids)
{
    uint64_t kib = 0;
    while (*pids) {
        int pid;
        char path[64], text[8192];
        pids = pid_next(pids, &pid);
        snprintf(path, sizeof(path), "/proc/%d/status", pid);
        if (!read_start(path, text, sizeof(text)))
            is_gone(pid);
        kib += status_kib(text, "\nRssAnon:") + status_kib(text, "\nRssShmem:");
    }
    return kib * 1024;
}
