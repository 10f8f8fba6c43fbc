/* A bucket for each place, found by the hash of its key: a place that needs the bucket of another
 * takes it. See log_limit.h. */
#include "base/log_limit.h"

#include <string.h>

#define KEY_MAX 100 /* bytes of the text that are looked at when it names no line */
#define LINE_MAX 300

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* FNV-1a: what collides shares a limit, which does no harm. */
static uint64_t hash_more(uint64_t hash, char c)
{
    return (hash ^ (unsigned char)c) * 0x100000001b3;
}

/* The length of "app.lua:70:" and what stands before it, 0: the first line of the text names no
 * place. */
static size_t place_len(const char *text, size_t len)
{
    for (size_t i = 0; i + 2 < len && i < LINE_MAX && text[i] != '\n'; i++) {
        if (text[i] != ':' || !is_digit(text[i + 1]))
            continue;
        size_t end = i + 1;
        while (end < len && is_digit(text[end]))
            end++;
        if (end < len && text[end] == ':')
            return end + 1;
    }
    return 0;
}

static uint64_t key_of(enum log_level level, const char *text, size_t len)
{
    uint64_t hash = hash_more(0xcbf29ce484222325, (char)level);
    size_t place = place_len(text, len);
    size_t end = place ? place : len < KEY_MAX ? len : KEY_MAX;
    for (size_t i = 0; i < end && text[i] != '\n'; i++)
        if (place || !is_digit(text[i]))
            hash = hash_more(hash, text[i]);
    return hash ? hash : 1;
}

/* A bucket that holds `burst` and is filled at `rate` a second, as the moment when it is full. */
static bool log_limit_take(struct log_place *place, uint64_t now_ms, uint64_t burst, uint64_t rate)
{
    uint64_t each_ms = 1000 / rate;
    uint64_t full_ms = place->full_ms > now_ms ? place->full_ms : now_ms;
    if (full_ms + each_ms > now_ms + burst * each_ms)
        return false;
    place->full_ms = full_ms + each_ms;
    return true;
}

static void hold_back(struct log_limit *limit, struct log_place *place, enum log_level level,
                      const char *text, size_t len, uint64_t now_ms)
{
    limit->held++;
    if (place->held++ > 0)
        return;
    const char *newline = memchr(text, '\n', len);
    len = newline ? (size_t)(newline - text) : len;
    len = len < LOG_SAMPLE ? len : LOG_SAMPLE - 1;
    memcpy(place->sample, text, len);
    place->sample[len] = '\0';
    place->level = level;
    place->since_ms = now_ms;
}

static void make_report(struct log_limit *limit, struct log_place *place, uint64_t now_ms,
                        struct log_report *report)
{
    *report = (struct log_report){
        .level = place->level, .count = place->held, .ms = now_ms - place->since_ms};
    memcpy(report->sample, place->sample, LOG_SAMPLE);
    limit->held -= place->held;
    place->held = 0;
}

bool log_limit_pass(struct log_limit *limit, enum log_level level, const char *text, size_t len,
                    uint64_t now_ms, struct log_report *before)
{
    uint64_t key = key_of(level, text, len);
    struct log_place *place = &limit->places[key % LOG_PLACES];
    before->count = 0;
    if (place->key != key) {
        if (place->held > 0)
            make_report(limit, place, now_ms, before);
        *place = (struct log_place){.key = key};
    }
    if (!log_limit_take(place, now_ms, LOG_BURST, LOG_RATE)) {
        hold_back(limit, place, level, text, len, now_ms);
        return false;
    }
    if (!log_limit_take(&limit->all, now_ms, LOG_BURST_ALL, LOG_RATE_ALL)) {
        hold_back(limit, &limit->all, level, text, len, now_ms);
        return false;
    }
    return true;
}

bool log_limit_report(struct log_limit *limit, uint64_t now_ms, bool at_once,
                      struct log_report *report)
{
    for (size_t i = 0; i <= LOG_PLACES && limit->held > 0; i++) {
        struct log_place *place = i < LOG_PLACES ? &limit->places[i] : &limit->all;
        if (place->held == 0 || (!at_once && now_ms - place->since_ms < LOG_REPORT_MS))
            continue;
        make_report(limit, place, now_ms, report);
        return true;
    }
    return false;
}
