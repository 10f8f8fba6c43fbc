/* Tests of core/base: each check prints `ok sentence` or `not ok sentence`; base_spec.lua reads
 * them. */
#include "base/bytes.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/quota.h"
#include "base/scarce.h"
#include "base/slots.h"
#include "base/tally.h"
#include "base/text.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int failures;

static void check(bool is_ok, const char *sentence)
{
    printf("%s %s\n", is_ok ? "ok" : "not ok", sentence);
    failures += !is_ok;
}

/* ---- bytes ---- */

/* A queue that always holds `held` bytes. */
static bool is_queue(size_t held)
{
    struct bytes bytes = {0};
    unsigned char in = 0;
    unsigned char out = 0;
    bool is_right = true;
    for (size_t i = 0; i < 5000; i++) {
        bytes_append(&bytes, &in, 1);
        in++;
        if (bytes.len <= held)
            continue;
        is_right = is_right && (unsigned char)bytes.data[0] == out++;
        bytes_consume(&bytes, 1);
    }
    is_right = is_right && bytes.len == held && bytes.cap + bytes.gap <= 4 * held + 64;
    bytes_deinit(&bytes);
    return is_right;
}

static void test_bytes(void)
{
    struct bytes bytes;
    bytes_init(&bytes);
    bytes_append(&bytes, NULL, 0);
    check(bytes.data == NULL && bytes.len == 0, "bytes: nothing appended allocates nothing");

    for (int i = 0; i < 1000; i++)
        bytes_append(&bytes, "0123456789", 10);
    check(bytes.len == 10000 && memcmp(bytes.data + 9990, "0123456789", 10) == 0,
          "bytes: grows as it is appended to");

    bytes_consume(&bytes, 9995);
    check(bytes.len == 5 && memcmp(bytes.data, "56789", 5) == 0, "bytes: drops from the front");

    bytes_append_text(&bytes, "abc");
    bytes_consume(&bytes, 3);
    check(bytes.len == 5 && memcmp(bytes.data, "89abc", 5) == 0,
          "bytes: takes more behind what is left");

    bytes_clear(&bytes);
    bytes_append_text(&bytes, "n=");
    bytes_printf(&bytes, "%d %s", 42, "of many");
    check(bytes.len == 12 && memcmp(bytes.data, "n=42 of many", 12) == 0,
          "bytes: prints after what is there");

    check(bytes_try_append(&bytes, "x", SIZE_MAX - 4) == -ENOMEM && bytes.len == 12,
          "bytes: a size that cannot be is -ENOMEM and changes nothing");
    bytes_deinit(&bytes);

    bytes_printf(&bytes, "%0*d", 300, 7);
    check(bytes.len == 300 && bytes.data[299] == '7',
          "bytes: prints more than fits, and can be used again after deinit");
    bytes_deinit(&bytes);

    check(is_queue(0) && is_queue(1) && is_queue(63) && is_queue(100) && is_queue(1000),
          "bytes: as a queue keeps the order and stays small");
    bytes_printf(&bytes, "%063d", 7);
    check(bytes.len == 63, "bytes: prints exactly what fits");
    bytes_printf(&bytes, "%s", "");
    check(bytes.len == 63, "bytes: prints nothing");
    bytes_deinit(&bytes);
}

static void test_alloc(void)
{
    char *text = mem_strndup("abcdef", 3);
    check(strcmp(text, "abc") == 0, "alloc: strndup adds the NUL");
    mem_free(text);
    void *none = mem_try_alloc(0);
    check(none != NULL, "alloc: zero bytes are not a failure");
    mem_free(none);
}

#ifdef NEAP_TESTING
static void test_failing_alloc(void)
{
    scarce_arm(SCARCE_TRY, 2);
    struct bytes bytes;
    bytes_init(&bytes);
    int first = bytes_try_append(&bytes, "a", 1);
    bytes_deinit(&bytes);
    int second = bytes_try_append(&bytes, "a", 1);
    int third = bytes_try_append(&bytes, "b", 1);
    check(first + second + third == -ENOMEM,
          "scarce: exactly the chosen allocation fails");
    bytes_deinit(&bytes);
}
#else
static void test_failing_alloc(void)
{
}
#endif

/* ---- slots, list, tally ---- */

static void test_slots(void)
{
    struct slots slots;
    int object[100];
    slot_handle handles[100];
    slots_init(&slots);
    check(slots_get(&slots, 0) == NULL, "slots: handle 0 is never valid, even while empty");

    bool is_all_there = true;
    for (int i = 0; i < 100; i++)
        handles[i] = slots_put(&slots, &object[i]);
    for (int i = 0; i < 100; i++)
        is_all_there = is_all_there && slots_get(&slots, handles[i]) == &object[i];
    check(is_all_there && slots.count == 100, "slots: handles find their objects after growing");
    check(slots_get(&slots, 0) == NULL,
          "slots: handle 0 is never valid, even when slot 0 is in use");

    slots_take(&slots, handles[40]);
    slot_handle again = slots_put(&slots, &object[0]);
    check((uint32_t)again == (uint32_t)handles[40] && again != handles[40],
          "slots: a slot is used again under a new handle");
    check(slots_get(&slots, handles[40]) == NULL, "slots: the old handle stays dead");
    slots_take(&slots, handles[40]);
    check(slots_get(&slots, again) == &object[0] && slots.count == 100,
          "slots: taking a dead handle does nothing");
    check(slots_get(&slots, (UINT64_C(1) << 32) | 100000) == NULL,
          "slots: a handle past the end is dead");
    slots_deinit(&slots);
    check(slots_get(&slots, again) == NULL, "slots: every handle is dead after deinit");
}

static void test_list(void)
{
    struct list head, other, members[3];
    list_init(&head);
    for (int i = 0; i < 3; i++)
        list_push(&head, &members[i]);
    list_remove(&members[1]);
    list_remove(&members[1]);
    list_take(&other, &head);
    check(list_is_empty(&head) && list_shift(&other) == &members[0] &&
              list_shift(&other) == &members[2] && list_shift(&other) == NULL,
          "list: keeps order, survives a second remove, moves as a whole");
}

static void test_tally(void)
{
    tally_add(TALLY_FILE, 2);
    tally_add(TALLY_FILE, -2);
    bool has_names = true;
    for (enum tally_kind kind = 0; kind < TALLY_KINDS; kind++)
        has_names = has_names && tally_name(kind) && *tally_name(kind) && tally_count(kind) == 0;
    check(has_names, "tally: every kind has a name and returns to 0");
}

/* ---- quota ---- */

static void test_quota(void)
{
    struct quota quota;
    const size_t step = QUOTA_FREE;
    quota_init(&quota, "limits.test", 3 * step);
    check(quota_change(&quota, 0, step) && quota_used(&quota) == 0, "quota: a little is free");
    check(quota_change(&quota, step, step + 1) && quota_used(&quota) == step &&
              quota_change(&quota, step + 1, 2 * step) && quota_used(&quota) == step,
          "quota: more counts in steps");
    check(quota_has_room(&quota, 0, 3 * step) && !quota_has_room(&quota, 0, 3 * step + 1) &&
              quota_change(&quota, 0, 3 * step) && quota_used(&quota) == 3 * step,
          "quota: all of it can be used");
    check(!quota_change(&quota, 0, step + 1) && !quota_has_room(&quota, 2 * step, SIZE_MAX) &&
              !quota_change(&quota, 0, SIZE_MAX) && quota_used(&quota) == 3 * step,
          "quota: what there is no room for changes nothing");
    check(quota_change(&quota, 0, step) && quota_has_room(&quota, 0, step),
          "quota: the little is still free then");
    check(quota_change(&quota, 3 * step, 1) && quota_change(&quota, 2 * step, 0) &&
              quota_used(&quota) == 0,
          "quota: what is given back can be used again");
    check(quota_change(NULL, 0, SIZE_MAX) && quota_has_room(NULL, 0, SIZE_MAX),
          "quota: none has no limit");
}

static void *use_quota(void *arg)
{
    struct quota *quota = arg;
    size_t refused = 0;
    for (size_t i = 0; i < 20000; i++) {
        size_t bytes = i % 5 * QUOTA_FREE;
        if (quota_change(quota, 0, bytes))
            quota_change(quota, bytes, 0);
        else
            refused++;
    }
    return (void *)refused;
}

static void test_quota_threads(void)
{
    struct quota quota;
    pthread_t threads[4];
    quota_init(&quota, "limits.test", (size_t)QUOTA_FREE * 16);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, use_quota, &quota);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    check(quota_used(&quota) == 0, "quota: threads that share it lose nothing");
}

/* ---- text ---- */

static bool parses_to(int (*parse)(const char *, uint64_t *), const char *text, uint64_t expected)
{
    uint64_t value = 0;
    return parse(text, &value) == 0 && value == expected;
}

static bool is_refused(int (*parse)(const char *, uint64_t *), const char *text)
{
    uint64_t value;
    return parse(text, &value) < 0;
}

static void test_durations_and_sizes(void)
{
    check(parses_to(text_parse_duration, "250ms", 250) &&
              parses_to(text_parse_duration, "10s", 10000) &&
              parses_to(text_parse_duration, "5m", 300000) &&
              parses_to(text_parse_duration, "1h", 3600000) &&
              parses_to(text_parse_duration, "1d", 86400000) &&
              parses_to(text_parse_duration, "1.5", 1500) &&
              parses_to(text_parse_duration, "0", 0) &&
              parses_to(text_parse_duration, "0.5h", 1800000),
          "text: durations with each unit, and plain seconds");
    check(parses_to(text_parse_duration, "0.0001", 1), "text: a tiny duration is 1 ms, not 0");
    check(is_refused(text_parse_duration, "") && is_refused(text_parse_duration, "5M") &&
              is_refused(text_parse_duration, "-1") && is_refused(text_parse_duration, "1.") &&
              is_refused(text_parse_duration, ".5") && is_refused(text_parse_duration, "1 s") &&
              is_refused(text_parse_duration, "ten") &&
              is_refused(text_parse_duration, "99999999999999999999d") &&
              is_refused(text_parse_duration, "18446744073709551615d") &&
              is_refused(text_parse_duration, "1e3"),
          "text: what is not a duration is refused");
    check(parses_to(text_parse_size, "512", 512) && parses_to(text_parse_size, "64KB", 65536) &&
              parses_to(text_parse_size, "1mb", 1048576) &&
              parses_to(text_parse_size, "2GB", UINT64_C(2) << 30) &&
              parses_to(text_parse_size, "1.5KB", 1536),
          "text: sizes are powers of 1024");
    check(is_refused(text_parse_size, "") && is_refused(text_parse_size, "KB") &&
              is_refused(text_parse_size, "1 MB") && is_refused(text_parse_size, "1MiBs") &&
              is_refused(text_parse_size, "99999999999TB"),
          "text: what is no size is refused");
}

static void test_words(void)
{
    uint64_t value = 0;
    check(text_equal_nocase("Content-LENGTH", 14, "content-length", 14) &&
              !text_equal_nocase("@", 1, "`", 1) && !text_equal_nocase("ab", 2, "abc", 3),
          "text: compares without case, letters only");
    check(text_is_token("x-a_b!~", 7) && !text_is_token("", 0) && !text_is_token("a b", 3) &&
              !text_is_token("a:", 2) && !text_is_token("a\0b", 3) && !text_is_token("\xc3\xa4", 2),
          "text: knows tokens");
    check(text_list_has("keep-alive, Upgrade", 19, "upgrade") &&
              text_list_has(" close\t,", 8, "close") && !text_list_has("upgraded", 8, "upgrade") &&
              !text_list_has("", 0, "close") && !text_list_has(",,", 2, "x"),
          "text: finds a token in a comma list");
    check(text_parse_uint("18446744073709551615", 20, &value) == 0 && value == UINT64_MAX &&
              text_parse_uint("18446744073709551616", 20, &value) == -ERANGE &&
              text_parse_uint("+5", 2, &value) == -EINVAL &&
              text_parse_uint("", 0, &value) == -EINVAL &&
              text_parse_uint("99999999999999999999x", 21, &value) == -EINVAL,
          "text: reads numbers strictly");
}

static bool nearest_is(const char *word, const char *expected)
{
    static const char *const words[] = {"listen", "workers", "timeouts", "log", "limits", "port"};
    const char *nearest = text_nearest(word, words, sizeof words / sizeof *words);
    return expected ? nearest && strcmp(nearest, expected) == 0 : nearest == NULL;
}

static void test_nearest(void)
{
    check(nearest_is("listen", "listen") && nearest_is("wokers", "workers") &&
              nearest_is("timeout", "timeouts") && nearest_is("prot", "port") &&
              nearest_is("LOG", "log"),
          "text: guesses the word that was meant");
    check(nearest_is("database", NULL) && nearest_is("", NULL) && nearest_is("x", NULL),
          "text: does not guess wildly");
}

static bool is_utf8(const char *text)
{
    return utf8_is_valid(text, strlen(text));
}

static void test_utf8(void)
{
    check(is_utf8("") && is_utf8("plain ascii text") &&
              is_utf8("\xc3\xa4\xe2\x82\xac\xf0\x9f\x8c\x8a") && is_utf8("\xf4\x8f\xbf\xbf") &&
              is_utf8("\xed\x9f\xbf") && utf8_is_valid("a\0b", 3),
          "utf8: accepts every length of character");
    check(!is_utf8("\xc0\x80") && !is_utf8("\xe0\x80\x80") && !is_utf8("\xf0\x80\x80\x80") &&
              !is_utf8("\xed\xa0\x80") && !is_utf8("\xf4\x90\x80\x80") && !is_utf8("\xff") &&
              !is_utf8("\x80") && !is_utf8("12345678\xe2\x82") && !is_utf8("1234567\xc3"),
          "utf8: refuses overlong, surrogate, too large, lone and cut-off bytes");
}

/* ---- log ---- */

/* stderr becomes a pipe of ours while a test runs. */
struct capture {
    int saved;
    int read_end;
    char text[4 * 1024 * 1024];
    size_t len;
};

static struct capture capture;

static void capture_to(int fd)
{
    capture.saved = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
    capture.len = 0;
    capture.text[0] = '\0';
}

static void capture_start(void)
{
    int ends[2];
    if (pipe(ends) < 0)
        abort();
    capture.read_end = ends[0];
    capture_to(ends[1]);
}

static void capture_restore(void)
{
    dup2(capture.saved, STDERR_FILENO);
    close(capture.saved);
}

static void capture_read_until(size_t len)
{
    ssize_t got = 1;
    while (capture.len < len && got > 0) {
        got = read(capture.read_end, capture.text + capture.len,
                   sizeof capture.text - 1 - capture.len);
        capture.len += got > 0 ? (size_t)got : 0;
    }
    capture.text[capture.len] = '\0';
}

static void capture_stop(void)
{
    capture_restore();
    capture_read_until(sizeof capture.text - 1);
    close(capture.read_end);
}

static void *stop_log(void *unused)
{
    (void)unused;
    log_stop();
    capture_restore();
    return NULL;
}

/* Stops the log while we read: what it still has may be more than a pipe holds. */
static void capture_log_stop(void)
{
    pthread_t stopper;
    pthread_create(&stopper, NULL, stop_log, NULL);
    capture_read_until(sizeof capture.text - 1);
    pthread_join(stopper, NULL);
    close(capture.read_end);
}

static bool has(const char *needle)
{
    return strstr(capture.text, needle) != NULL;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void log_one(enum log_format format, const char *text, size_t len,
                    const struct log_field *fields, int count)
{
    capture_start();
    log_start(LOG_INFO, format);
    log_line(LOG_WARN, text, len, fields, count);
    log_stop();
    capture_stop();
}

static void test_log_json(void)
{
    static const char text[] = "a \"quoted\"\\\n\x1b[31m\x7f\xff\xc2\x9b \xc3\xa4\0end";
    struct log_field fields[] = {
        {"n", "42", 2, 1}, {"who", "x\ny", 3, 0}, {"msg", "z", 1, 0}, {"bad", "1\n2", 3, 1}};
    log_one(LOG_JSON, text, sizeof text - 1, fields, 4);
    check(strncmp(capture.text, "{\"time\":\"20", 11) == 0 &&
              has("Z\",\"level\":\"warn\",\"msg\":\""),
          "log: a JSON line has time, level, msg");
    check(has("a \\\"quoted\\\"\\\\\\n\\u001b[31m\\u007f\\ufffd\\u009b \xc3\xa4\\u0000end\""),
          "log: JSON escapes quotes, control characters and bytes that are not UTF-8");
    check(has(",\"n\":42,\"who\":\"x\\ny\",\"msg_\":\"z\",\"bad\":\"1\\n2\"}\n"),
          "log: JSON fields, raw ones as they are, reserved names moved aside");
    check(strchr(capture.text, '\n') == capture.text + capture.len - 1,
          "log: a JSON event is exactly one line");
}

static void test_log_pretty(void)
{
    static const char text[] = "failed\n20:00:00 error forged\x1b[2J\r\xc2\x9b";
    struct log_field fields[] = {{"traceback", "stack:\n\tapp.lua:3", 17, 0},
                                 {"path", "/a b", 4, 0},
                                 {"id", "7", 1, 0},
                                 {"json", "{\"a\":1}", 7, 1}};
    log_one(LOG_PRETTY, text, sizeof text - 1, fields, 4);
    check(has(" warn  failed\n    20:00:00 error forged\\x1b[2J\\r\\u009b"),
          "log: pretty escapes control characters and indents what follows a newline");
    check(has(" path=\"/a b\" id=7 json={\"a\":1}\n    stack:\n      app.lua:3\n"),
          "log: pretty fields, a traceback as an indented block below");
    check(!has("\033"), "log: no colours where there is no terminal");
}

static void test_log_levels(void)
{
    capture_start();
    log_start(LOG_WARN, LOG_AUTO);
    log_info("not %s", "this");
    log_warn("but %d", 1);
    check(!log_wants(LOG_INFO) && log_wants(LOG_ERROR), "log: tells which levels it wants");
    log_stop();
    log_error("after the stop");
    capture_stop();
    check(!has("not this") && has("\"but 1\""),
          "log: writes from the lowest wanted level on, JSON when not on a terminal");
    check(has("after the stop"), "log: a line after the stop still arrives");
}

static void test_log_cuts(void)
{
    struct bytes text;
    bytes_init(&text);
    for (int i = 0; i < 100000; i++)
        bytes_append(&text, "x", 1);
    log_one(LOG_JSON, text.data, text.len, NULL, 0);
    bytes_deinit(&text);
    check(capture.len < 40000 && has("... (100000 bytes)\"}\n"), "log: a text without end is cut");
}

/* Nothing that is held back, as what neap itself says would be. */
static void say(const char *text, int number)
{
    char line[160];
    int len = snprintf(line, sizeof line, "%s: %d", text, number);
    log_line(LOG_INFO, line, (size_t)len, NULL, 0);
}

static void *log_many(void *arg)
{
    for (int i = 0; i < 300; i++)
        say("a line of a thread", *(int *)arg + i);
    return NULL;
}

static void test_log_threads(void)
{
    pthread_t threads[4];
    int numbers[4] = {0, 1, 2, 3};
    capture_start();
    log_start(LOG_INFO, LOG_JSON);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, log_many, &numbers[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    capture_log_stop();
    int lines = 0, whole = 0;
    for (char *at = capture.text, *end; (end = strchr(at, '\n')); at = end + 1) {
        lines++;
        whole += at[0] == '{' && end[-1] == '}';
    }
    check(lines == 1200 && whole == 1200,
          "log: lines of several threads are all there, each whole");
}

static void test_log_stuck_pipe(void)
{
    uint64_t before = log_dropped();
    capture_start();                               /* nobody reads */
    int room = fcntl(STDERR_FILENO, F_GETPIPE_SZ); /* little for a user who has many pipes */
    log_start(LOG_INFO, LOG_JSON);
    uint64_t start = now_ms();
    for (int i = 0; i < 60000; i++)
        say("a line of about one hundred bytes, so that the queue is sure to be full at some time",
            i);
    uint64_t spent = now_ms() - start;
    check(spent < 2000, "log: a stuck reader does not hold up who logs");
    check(log_dropped() - before > 30000, "log: what does not fit is dropped and counted");
    start = now_ms();
    log_stop();
    spent = now_ms() - start;
    check(spent >= 1900 && spent < 2900, "log: stopping gives a stuck reader 2 s, then gives up");
    capture_stop();
    check(capture.len >= (size_t)room / 4 * 3 && capture.text[0] == '{',
          "log: what was written before it got stuck is there");
}

static void test_log_room_again(void)
{
    capture_start();
    log_start(LOG_INFO, LOG_JSON);
    uint64_t before = log_dropped();
    for (int i = 0; i < 40000; i++)
        say("a line of about one hundred bytes, so that the queue is sure to be full at some time",
            i);
    uint64_t dropped = log_dropped() - before;
    capture_read_until(1000000); /* most of what waits */
    log_info("room again");
    capture_log_stop();
    const char *report = strstr(capture.text, "lines were dropped");
    check(dropped > 0 && report, "log: lost lines are reported when there is room again");
    check(report && !strstr(report + 1, "lines were dropped"), "log: in one line");
    check(has("room again"), "log: and it goes on");
}

static void test_log_limit(void)
{
    capture_start();
    log_start(LOG_INFO, LOG_JSON);
    for (int i = 0; i < 500; i++)
        log_warn("conn %d: has a fault", i);
    for (int i = 0; i < 3; i++)
        log_warn("app.lua:%d: another place %d", i, i);
    capture_log_stop();
    int lines = 0;
    for (char *at = capture.text; (at = strstr(at, "has a fault")) != NULL; at++)
        lines++;
    check(lines >= 51 && lines < 100, "log: entries that differ in numbers only are limited");
    const char *report = strstr(capture.text, " more like this in ");
    check(report && strstr(report, ": conn "), "log: and counted, with a sample");
    const char *more = strstr(capture.text, "\"more\":");
    check(more && atoi(more + 7) == 500 - (lines - 1), "log: none is lost from the count");
    check(has("app.lua:0: another") && has("app.lua:2: another"),
          "log: other places are not held back");
}

static void test_log_full_disk(void)
{
    uint64_t before = log_dropped();
    capture_to(open("/dev/full", O_WRONLY));
    log_start(LOG_INFO, LOG_PRETTY);
    log_info("first\nwith a second line");
    log_stop();
    capture_restore();
    check(log_dropped() - before == 1, "log: a full disk loses the line, and only counts it");
}

static void test_log_reader_left(void)
{
    uint64_t before = log_dropped();
    signal(SIGPIPE, SIG_DFL); /* the writer blocks it, whatever the process does with it */
    capture_start();
    close(capture.read_end);
    log_start(LOG_INFO, LOG_JSON);
    log_info("one");
    log_info("two");
    log_stop();
    capture_restore();
    check(log_dropped() - before == 2, "log: a reader that left does not end the process");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    test_alloc();
    test_failing_alloc();
    test_bytes();
    test_slots();
    test_list();
    test_tally();
    test_quota();
    test_quota_threads();
    test_durations_and_sizes();
    test_words();
    test_nearest();
    test_utf8();
    test_log_json();
    test_log_pretty();
    test_log_levels();
    test_log_cuts();
    test_log_threads();
    test_log_room_again();
    test_log_limit();
    test_log_full_disk();
    test_log_reader_left();
    test_log_stuck_pipe();
    return failures > 0;
}
