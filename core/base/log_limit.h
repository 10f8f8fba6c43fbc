/* How often the same may be said: what fails with each request would fill the disk. Entries are
 * limited per place, which is what they have in common: "app.lua:70:" where the text names one,
 * else the text without its numbers. What is held back is counted, and told in one entry. Only
 * log.c uses this, under its lock. */
#ifndef BASE_LOG_LIMIT_H
#define BASE_LOG_LIMIT_H

#include "base/log.h"

#include <stdbool.h>

#define LOG_BURST 50       /* entries of one place at once ... */
#define LOG_RATE 5         /* ... and so many a second after that */
#define LOG_BURST_ALL 1000 /* of all places together */
#define LOG_RATE_ALL 100
#define LOG_PLACES 256
#define LOG_SAMPLE 96      /* bytes of the text that are shown with a count */
#define LOG_REPORT_MS 5000 /* between the first entry that is held back and their count */

struct log_place {
    uint64_t key;      /* 0: nobody's */
    uint64_t full_ms;  /* when it may say LOG_BURST entries at once again */
    uint64_t since_ms; /* when the first one was held back */
    uint64_t held;     /* entries held back since then; 0: none */
    enum log_level level;
    char sample[LOG_SAMPLE];
};

struct log_limit {
    struct log_place places[LOG_PLACES];
    struct log_place all; /* everything that its own place let through */
    uint64_t held;        /* by all of these */
};

/* What was held back, to be told. */
struct log_report {
    enum log_level level;
    uint64_t count;
    uint64_t ms; /* over so long */
    char sample[LOG_SAMPLE];
};

/* Whether this one may be written. False: it is counted. `before` gets what has to be told first,
 * because its place in here is needed (count 0: nothing). */
bool log_limit_pass(struct log_limit *limit, enum log_level level, const char *text, size_t len,
                    uint64_t now_ms, struct log_report *before);
/* The next count that is due, or, `at_once`, that there is. */
bool log_limit_report(struct log_limit *limit, uint64_t now_ms, bool at_once,
                      struct log_report *report);

#endif
