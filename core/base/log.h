/* The log: one line per event on stderr, written by a thread of its own so that a slow terminal or
 * a full disk never holds up a loop. When its queue is full, lines are dropped and counted. Pretty
 * (colours only) on a terminal, JSON lines otherwise. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_AUTO, LOG_PRETTY, LOG_JSON };

/* One extra field of a line. `text` is copied; with `raw` it is JSON already, such as a number. */
struct log_field {
    const char *name;
    const char *text;
    size_t len;
    int raw;
};

void log_start(enum log_level lowest, enum log_format format); /* before the first line */
void log_set_level(enum log_level lowest);                     /* any time, any thread */
void log_stop(void); /* writes what is queued, at most 2 s */
int log_wants(enum log_level level);
/* Any thread. Control characters are escaped; newlines, as in a traceback, are kept by pretty. */
void log_line(enum log_level level, const char *text, size_t len, const struct log_field *fields,
              int count);
/* The same for what neap says by itself, which may be thousands of times a second: at most so many
 * of the same place, then their count (see log_limit.h). So are the ones below. What an application
 * writes, and the access log, is never held back: somebody has asked for it. */
void log_own_line(enum log_level level, const char *text, size_t len,
                  const struct log_field *fields, int count);
/* What this thread says is never held back: it speaks for the whole server (a reload's end, a
 * stop), and that must not be lost among thousands of failures. */
void log_exempt_thread(void);
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t log_dropped(void);

#endif
