/* The log: callers format their line and put it into a queue; a thread of its own writes it.
 *
 * The one global of core/: there is one stderr, so there is one log, and it must be reachable from
 * every thread, from code that has no worker (main, a clean-up) and from error paths that hold
 * nothing at all.
 *
 * The flags of stderr are not ours to change (a shell shares them), so the writer polls before each
 * small write. */
#include "base/log.h"

#include "base/log_format.h"
#include "base/log_limit.h"
#include "base/thread.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_QUEUE_MAX \
    ((size_t)1024 * 1024)  /* what waits; one batch more may be in the writer's hands */
#define LOG_WRITE_MAX 4096 /* PIPE_BUF: a pipe that polls as writable takes this at once */
#define LOG_POLL_MS 50
#define LOG_STOP_MS 2000
#define LOG_STOP_GRACE_MS 500            /* after giving up: for the writer to notice */
#define LOG_KEEP_CAP ((size_t)64 * 1024) /* a batch buffer larger than this is given back */

enum log_state { LOG_DIRECT, LOG_RUNNING, LOG_STOPPING, LOG_LOST };

static struct log {
    pthread_mutex_t lock; /* held for a copy or a swap, never for a write */
    pthread_cond_t has_work;
    pthread_cond_t has_ended;
    struct bytes queue;
    struct log_limit limit;
    bool is_ended; /* the writer left */
    pthread_t writer;
    struct log_style style; /* constant while running */
    /* The writer's own: */
    struct bytes batch;
    bool is_torn;      /* stderr ends within a line: the last write failed half-way */
    uint64_t reported; /* of `dropped` */
    _Atomic int state; /* enum log_state */
    /* Do not wait for stderr: log_stop's time is over, or there is no writer. */
    _Atomic bool is_given_up;
    _Atomic int lowest; /* enum log_level */
    _Atomic uint64_t dropped;
} the_log = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .is_given_up = true,
    .lowest = LOG_INFO,
};

/* ---- writing ---- */

/* Events in `len` bytes of log: newlines that no continuation follows (see log_format.h). */
static uint64_t count_events(const char *data, size_t len)
{
    uint64_t count = 0;
    for (size_t i = 0; i < len; i++)
        if (data[i] == '\n' && (i + 1 == len || data[i + 1] != ' '))
            count++;
    return count;
}

/* Waits until stderr takes bytes. 0, or -1: it does not, and we may not wait (any longer). */
static int wait_writable(void)
{
    struct pollfd stderr_poll = {.fd = STDERR_FILENO, .events = POLLOUT};
    for (;;) {
        int ready = poll(&stderr_poll, 1, LOG_POLL_MS);
        if (ready > 0)
            return 0; /* an error or a hang-up as well: the write will tell which */
        if (ready < 0 && errno != EINTR)
            return 0;
        if (atomic_load(&the_log.is_given_up))
            return -1;
    }
}

/* Up to `len` bytes, ending with a line where one ends, so that lines of two writers do not mix. */
static size_t piece_len(const char *data, size_t len)
{
    if (len <= LOG_WRITE_MAX)
        return len;
    const char *newline = memrchr(data, '\n', LOG_WRITE_MAX);
    return newline ? (size_t)(newline - data) + 1 : LOG_WRITE_MAX;
}

/* Writes all, or returns how much could be written before the first error. */
static size_t write_until_error(const char *data, size_t len)
{
    size_t done = 0;
    while (done < len) {
        if (wait_writable() < 0)
            return done;
        ssize_t wrote = write(STDERR_FILENO, data + done, piece_len(data + done, len - done));
        if (wrote > 0)
            done += (size_t)wrote;
        else if (wrote < 0 && errno == EAGAIN && !atomic_load(&the_log.is_given_up))
            poll(NULL, 0, 1); /* somebody made stderr non-blocking, and poll promised too much */
        else if (wrote == 0 || errno != EINTR)
            return done;
    }
    return done;
}

/* A line that was cut off by an error gets its newline before the next one starts. */
static void mend_torn_line(void)
{
    if (the_log.is_torn && write_until_error("\n", 1) == 1)
        the_log.is_torn = false;
}

static bool write_batch(const struct bytes *batch)
{
    mend_torn_line();
    size_t done = write_until_error(batch->data, batch->len);
    if (done == batch->len)
        return true;
    /* Disk full, nobody reads: what is left is dropped and counted, the next batch tries again. */
    the_log.is_torn = the_log.is_torn || (done > 0 && batch->data[done - 1] != '\n');
    atomic_fetch_add(&the_log.dropped, count_events(batch->data + done, batch->len - done));
    return false;
}

/* Tells once how many lines were lost, when there is room again. */
static void report_drops(void)
{
    uint64_t dropped = atomic_load(&the_log.dropped);
    if (dropped == the_log.reported)
        return;
    char count[24];
    int len =
        snprintf(count, sizeof count, "%llu", (unsigned long long)(dropped - the_log.reported));
    struct log_field field = {.name = "lines", .text = count, .len = (size_t)len, .raw = 1};
    static const char text[] = "log: lines were dropped, stderr did not take them in time";
    struct log_event event = {LOG_WARN, {0}, text, sizeof text - 1, &field, 1};
    clock_gettime(CLOCK_REALTIME, &event.time);

    struct bytes line;
    bytes_init(&line);
    log_format(&line, &the_log.style, &event);
    if (write_until_error(line.data, line.len) == line.len)
        the_log.reported = dropped;
    bytes_deinit(&line);
}

static uint64_t log_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Under the lock. */
static void queue_report(const struct log_report *report)
{
    char count[24];
    char text[LOG_SAMPLE + 80];
    int count_len = snprintf(count, sizeof count, "%llu", (unsigned long long)report->count);
    int len = snprintf(text, sizeof text, "... %s more like this in %.1f s: %s", count,
                       (double)report->ms / 1000, report->sample);
    struct log_field field = {.name = "more", .text = count, .len = (size_t)count_len, .raw = 1};
    struct log_event event = {report->level, {0}, text, (size_t)len, &field, 1};
    clock_gettime(CLOCK_REALTIME, &event.time);
    log_format(&the_log.queue, &the_log.style, &event);
}

/* Waits for work, and no longer than until a count may be due. Under the lock. */
static void wait_for_work(void)
{
    struct log_report report;
    while (log_limit_report(&the_log.limit, log_now_ms(), false, &report))
        queue_report(&report);
    if (the_log.queue.len > 0)
        return;
    if (the_log.limit.held == 0) {
        pthread_cond_wait(&the_log.has_work, &the_log.lock);
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 1;
    pthread_cond_timedwait(&the_log.has_work, &the_log.lock, &until);
}

/* Before the end all counts are told. Under the lock. */
static void queue_last_reports(void)
{
    struct log_report report;
    while (log_limit_report(&the_log.limit, log_now_ms(), true, &report))
        queue_report(&report);
}

/* Takes the queue as the next batch; waits for one. False: stopping, and nothing is left. */
static bool take_batch(void)
{
    if (the_log.batch.cap > LOG_KEEP_CAP)
        bytes_deinit(&the_log.batch);
    bytes_clear(&the_log.batch);

    pthread_mutex_lock(&the_log.lock);
    while (the_log.queue.len == 0 && atomic_load(&the_log.state) == LOG_RUNNING)
        wait_for_work();
    if (atomic_load(&the_log.state) != LOG_RUNNING)
        queue_last_reports();
    struct bytes taken = the_log.queue;
    the_log.queue = the_log.batch;
    the_log.batch = taken;
    pthread_mutex_unlock(&the_log.lock);
    return taken.len > 0;
}

static void *writer_main(void *arg)
{
    (void)arg;
    while (take_batch())
        if (write_batch(&the_log.batch))
            report_drops();

    pthread_mutex_lock(&the_log.lock);
    the_log.is_ended = true;
    pthread_cond_signal(&the_log.has_ended);
    pthread_mutex_unlock(&the_log.lock);
    return NULL;
}

/* ---- starting and stopping ---- */

static bool wants_colours(void)
{
    const char *term = getenv("TERM");
    const char *no_colour = getenv("NO_COLOR"); /* no-color.org */
    return isatty(STDERR_FILENO) && !(no_colour && *no_colour) &&
           !(term && strcmp(term, "dumb") == 0);
}

/* Signals are for other threads; a SIGPIPE must not end the process either. */
static int start_writer(void)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = thread_start(&the_log.writer, NULL, writer_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

static void init_conditions(void)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    /* A clock that jumps must not change how long we wait. */
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&the_log.has_work, &attr);
    pthread_cond_init(&the_log.has_ended, &attr);
    pthread_condattr_destroy(&attr);
}

void log_set_level(enum log_level lowest)
{
    atomic_store(&the_log.lowest, lowest);
}

void log_start(enum log_level lowest, enum log_format format)
{
    log_set_level(lowest);
    if (atomic_load(&the_log.state) != LOG_DIRECT)
        return; /* runs already, or its writer is stuck for good */
    bool is_terminal = isatty(STDERR_FILENO);
    the_log.style.is_json = format == LOG_JSON || (format == LOG_AUTO && !is_terminal);
    the_log.style.has_colours = !the_log.style.is_json && wants_colours();
    the_log.is_ended = false;
    atomic_store(&the_log.is_given_up, false);
    init_conditions();
    atomic_store(&the_log.state, LOG_RUNNING);
    if (start_writer() != 0) { /* no thread to be had: lines are written by their callers */
        atomic_store(&the_log.is_given_up, true);
        atomic_store(&the_log.state, LOG_DIRECT);
    }
}

/* Whether the writer has ended within `ms`. The lock is held. */
static bool wait_for_end(uint64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + ms * 1000000;
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    while (!the_log.is_ended)
        if (pthread_cond_timedwait(&the_log.has_ended, &the_log.lock, &until) == ETIMEDOUT)
            break;
    return the_log.is_ended;
}

void log_stop(void)
{
    if (atomic_load(&the_log.state) != LOG_RUNNING)
        return;
    pthread_mutex_lock(&the_log.lock);
    atomic_store(&the_log.state, LOG_STOPPING);
    pthread_cond_signal(&the_log.has_work);
    bool is_ended = wait_for_end(LOG_STOP_MS);
    if (!is_ended) {
        atomic_store(&the_log.is_given_up, true);
        is_ended = wait_for_end(LOG_STOP_GRACE_MS);
    }
    pthread_mutex_unlock(&the_log.lock);

    if (!is_ended) { /* stuck inside write(2): leave it there, it ends with the process */
        atomic_store(&the_log.state, LOG_LOST);
        pthread_detach(the_log.writer);
        return;
    }
    pthread_join(the_log.writer, NULL);
    pthread_cond_destroy(&the_log.has_work);
    pthread_cond_destroy(&the_log.has_ended);
    bytes_deinit(&the_log.queue);
    bytes_deinit(&the_log.batch);
    atomic_store(&the_log.is_given_up, true);
    atomic_store(&the_log.state, LOG_DIRECT);
}

/* ---- lines ---- */

int log_wants(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&the_log.lowest, memory_order_relaxed);
}

/* Before the start and after the stop the caller writes its line, and waits for at most
 * LOG_POLL_MS. */
static void write_direct(const struct bytes *line)
{
    if (write_until_error(line->data, line->len) < line->len)
        atomic_fetch_add(&the_log.dropped, 1);
}

/* Puts the line into the queue. False: the log does not run (any more). */
static bool queue_line(const struct bytes *line)
{
    pthread_mutex_lock(&the_log.lock);
    bool is_running = atomic_load(&the_log.state) == LOG_RUNNING;
    if (is_running && the_log.queue.len + line->len > LOG_QUEUE_MAX) {
        atomic_fetch_add(&the_log.dropped, 1);
    } else if (is_running) {
        bytes_append(&the_log.queue, line->data, line->len);
        pthread_cond_signal(&the_log.has_work);
    }
    pthread_mutex_unlock(&the_log.lock);
    return is_running;
}

void log_line(enum log_level level, const char *text, size_t len, const struct log_field *fields,
              int count)
{
    if (!log_wants(level))
        return;
    assert(level <= LOG_ERROR);
    struct log_event event = {level, {0}, text, len, fields, count};
    clock_gettime(CLOCK_REALTIME, &event.time);

    struct bytes line;
    bytes_init(&line);
    log_format(&line, &the_log.style, &event);
    if (!queue_line(&line))
        write_direct(&line);
    bytes_deinit(&line);
}

static _Thread_local bool is_exempt;

void log_exempt_thread(void)
{
    is_exempt = true;
}

/* Whether this may be said now. Without a writer everything may: nobody would tell the rest. */
static bool may_say(enum log_level level, const char *text, size_t len)
{
    struct log_report before;
    if (is_exempt)
        return true;
    pthread_mutex_lock(&the_log.lock);
    bool may = atomic_load(&the_log.state) != LOG_RUNNING;
    if (!may) {
        bool is_first = the_log.limit.held == 0;
        may = log_limit_pass(&the_log.limit, level, text, len, log_now_ms(), &before);
        if (before.count > 0)
            queue_report(&before);
        if (is_first && !may)
            pthread_cond_signal(&the_log.has_work); /* now it has to look at the time */
    }
    pthread_mutex_unlock(&the_log.lock);
    return may;
}

void log_own_line(enum log_level level, const char *text, size_t len,
                  const struct log_field *fields, int count)
{
    if (log_wants(level) && may_say(level, text, len))
        log_line(level, text, len, fields, count);
}

static void log_vprintf(enum log_level level, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static void log_vprintf(enum log_level level, const char *format, va_list args)
{
    if (!log_wants(level))
        return;
    struct bytes text;
    bytes_init(&text);
    bytes_vprintf(&text, format, args);
    log_own_line(level, text.data ? text.data : "", text.len, NULL, 0);
    bytes_deinit(&text);
}

#define DEFINE_LOG(name, level)           \
    void name(const char *format, ...)    \
    {                                     \
        va_list args;                     \
        va_start(args, format);           \
        log_vprintf(level, format, args); \
        va_end(args);                     \
    }

DEFINE_LOG(log_debug, LOG_DEBUG)
DEFINE_LOG(log_info, LOG_INFO)
DEFINE_LOG(log_warn, LOG_WARN)
DEFINE_LOG(log_error, LOG_ERROR)

uint64_t log_dropped(void)
{
    return atomic_load(&the_log.dropped);
}
