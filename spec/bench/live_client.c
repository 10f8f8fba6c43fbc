/* The load client of `live`: opens subscribers, has messages published and measures what their
 * deliveries cost the server. One thread on epoll. `live` starts it, one mode per run; it prints
 * one line of numbers and exits 1 with a sentence when anything is not as it must be. */
#include "live_conn.h"
#include "live_message.h"

#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TURN_LIMIT_NS (20 * NS_PER_S)
#define SETTLE_NS (300 * NS_PER_MS)
#define LATE_NS (2 * NS_PER_S)

enum {
    OPEN_AT_ONCE = 128, /* connections, then the server must have answered the control connection */
    TURNS_MIN = 3,
    TURNS_WARM = 2,
    PROBES = 256,
    PROBES_PER_S = 1000,
    REQUEST_MAX = 256 + MESSAGE_SIZE_MAX,
    HELD_KINDS = 4,
};

static struct {
    const char *mode, *kind_name, *pids;
    enum conn_kind kind;
    const char *path; /* of subscribers; NULL: their kind's own */
    int port, count;
    int burst; /* messages per turn */
    int per_s; /* messages per second, in the modes that have a rate */
    double seconds;
    bool is_one_a_post; /* a request publishes one message: nchan */
    struct conn *control;
    struct conn **subscribers;
    uint64_t asked; /* requests on the control connection */
    int opened;     /* subscribers */
} bench = {.burst = 1, .seconds = 1, .count = 1000, .kind_name = "ws", .mode = "fan", .per_s = 10};

/* --- steps ------------------------------------------------------------------------------------ */

static void settle(void)
{
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + SETTLE_NS;
    while (clock_ns(CLOCK_MONOTONIC) < end)
        conns_pump(end);
}

/* When it answers, the server has seen what was sent before on other connections. */
static void control_answered(void)
{
    if (!conns_pump_to(&tally.control, bench.asked, TURN_LIMIT_NS))
        errx(1, "the server does not answer the control connection");
}

static void control_hello(void)
{
    bench.asked++;
    conn_ask(bench.control);
    control_answered();
}

static void open_until(int count)
{
    while (bench.opened < count) {
        bench.subscribers[bench.opened++] = conn_open(bench.kind, bench.path);
        if (bench.opened % OPEN_AT_ONCE == 0)
            control_hello();
    }
    if (!conns_pump_to(&tally.ready, (uint64_t)count + 1, TURN_LIMIT_NS)) /* and the control one */
        errx(1, "only %llu of %d connections were accepted", (unsigned long long)tally.ready - 1,
             count);
    settle();
}

static size_t publish_request(char *out, int count)
{
    size_t size = deliveries.message_size;
    int head = snprintf(out, 256,
                        "POST /publish?count=%d HTTP/1.1\r\nHost: bench\r\n"
                        "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
                        count, size);
    message_make(out + head);
    return (size_t)head + size;
}

/* One turn's messages leave in one write, whichever way the server takes them. */
static void publish(void)
{
    static char out[64 * REQUEST_MAX];
    int posts = bench.is_one_a_post ? bench.burst : 1;
    size_t size = 0;
    for (int i = 0; i < posts; i++)
        size += publish_request(out + size, bench.burst / posts);
    bench.asked += (uint64_t)posts;
    conn_send(bench.control, out, size);
}

static void forget_latencies(void)
{
    memset(&deliveries.latency, 0, sizeof(deliveries.latency));
    memset(&tally.probes, 0, sizeof(tally.probes));
}

/* --- fan: what a delivery costs --------------------------------------------------------------- */

static void turn_hello(void)
{
    uint64_t wanted = tally.answers + (uint64_t)bench.count;
    for (int i = 0; i < bench.count; i++)
        conn_ask(bench.subscribers[i]);
    if (!conns_pump_to(&tally.answers, wanted, TURN_LIMIT_NS))
        errx(1, "%llu answers are missing", (unsigned long long)(wanted - tally.answers));
}

/* Publishes, and waits until everybody has everything: no turn runs into the next. */
static void turn(void)
{
    if (bench.kind == CONN_HELLO) {
        turn_hello();
    } else {
        uint64_t wanted = deliveries.count + (uint64_t)bench.count * (uint64_t)bench.burst;
        publish();
        if (!conns_pump_to(&deliveries.count, wanted, TURN_LIMIT_NS))
            errx(1, "%llu deliveries are missing", (unsigned long long)(wanted - deliveries.count));
        control_answered();
    }
    if (tally.closed)
        errx(1, "the server closed %llu connections", (unsigned long long)tally.closed);
}

static void run_fan(void)
{
    open_until(bench.count);
    for (int i = 0; i < TURNS_WARM; i++)
        turn();

    forget_latencies();
    uint64_t count = deliveries.count + tally.answers, from = clock_ns(CLOCK_MONOTONIC), now = from;
    struct usage before = usage_read(bench.pids);
    for (int i = 0; i < TURNS_MIN || now < from + (uint64_t)(bench.seconds * 1e9); i++) {
        turn();
        now = clock_ns(CLOCK_MONOTONIC);
    }
    struct usage after = usage_read(bench.pids);

    if (bench.kind == CONN_DEFLATE && deliveries.deflated != deliveries.count)
        errx(1, "deliveries are not deflated");
    printf("numbers %llu %llu %llu %llu %.0f %.0f\n",
           (unsigned long long)(deliveries.count + tally.answers - count),
           (unsigned long long)(now - from) / 1000,
           (unsigned long long)(after.on_ns - before.on_ns),
           (unsigned long long)(after.waiting_ns - before.waiting_ns),
           histogram_us(&deliveries.latency, 0.5), histogram_us(&deliveries.latency, 0.99));
}

/* --- memory: what an idle connection costs ---------------------------------------------------- */

/* The first tenth is not counted: it pays for pools and pages that all the others share. */
static void run_memory(void)
{
    int first = bench.count / 10;
    open_until(first);
    uint64_t before = memory_read(bench.pids);
    open_until(bench.count);
    uint64_t after = memory_read(bench.pids);
    printf("numbers %.0f\n", ((double)after - (double)before) / (bench.count - first));
}

/* --- pinged: what nobody's messages cost ------------------------------------------------------ */

/* Everybody is silent, so the server pings. The time measured is a whole number of its intervals:
 * each is pinged as often as any other. */
static void run_pinged(void)
{
    open_until(bench.count);
    struct usage before = usage_read(bench.pids);
    uint64_t pings = tally.pings, end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(bench.seconds * 1e9);
    while (clock_ns(CLOCK_MONOTONIC) < end)
        conns_pump(end);
    struct usage after = usage_read(bench.pids);
    if (tally.closed)
        errx(1, "the server closed %llu connections", (unsigned long long)tally.closed);
    printf("numbers %.3f %.2f\n", (double)(after.on_ns - before.on_ns) / 1e7 / bench.seconds,
           (double)(tally.pings - pings) / bench.count);
}

/* --- others and stalled: with a rate ---------------------------------------------------------- */

struct schedule {
    uint64_t every_ns, next_ns; /* every_ns 0: never */
};

static struct schedule schedule_start(double per_s)
{
    uint64_t every_ns = per_s > 0 ? (uint64_t)(1e9 / per_s) : 0;
    return (struct schedule){every_ns, clock_ns(CLOCK_MONOTONIC) + every_ns};
}

static bool is_due(struct schedule *schedule)
{
    if (schedule->every_ns == 0 || clock_ns(CLOCK_MONOTONIC) < schedule->next_ns)
        return false;
    schedule->next_ns += schedule->every_ns;
    return true;
}

static void probe_next(struct conn **probes)
{
    static int next;
    struct conn *probe = probes[next++ % PROBES];
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + TURN_LIMIT_NS;
    while (probe->is_waiting && clock_ns(CLOCK_MONOTONIC) < end)
        conns_pump(end); /* all of them wait: the server stood still for long */
    if (probe->is_waiting)
        errx(1, "a request to /hello is not answered");
    conn_ask(probe);
}

/* Publishes and probes (NULL: does not) at their rates; returns how many messages it
 * published. */
static uint64_t run_for(double seconds, double publish_per_s, struct conn **probes)
{
    struct schedule publishing = schedule_start(publish_per_s / bench.burst);
    struct schedule probing = schedule_start(probes ? PROBES_PER_S : 0);
    uint64_t published = 0, end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
    while (clock_ns(CLOCK_MONOTONIC) < end) {
        while (is_due(&publishing)) {
            publish();
            published += (uint64_t)bench.burst;
        }
        while (is_due(&probing))
            probe_next(probes);
        uint64_t until = end;
        if (publishing.every_ns && publishing.next_ns < until)
            until = publishing.next_ns;
        if (probing.every_ns && probing.next_ns < until)
            until = probing.next_ns;
        conns_pump(until);
    }
    control_answered();
    return published;
}

/* What requests of others wait while everybody is published to, beside what they wait otherwise. */
static void run_others(void)
{
    struct conn *probes[PROBES];
    open_until(bench.count);
    for (int i = 0; i < PROBES; i++)
        probes[i] = conn_open(CONN_PROBE, NULL);
    settle();

    forget_latencies();
    run_for(bench.seconds, 0, probes);
    double idle_us = histogram_us(&tally.probes, 0.5),
           idle_p99_us = histogram_us(&tally.probes, 0.99);
    settle();

    forget_latencies();
    uint64_t wanted = deliveries.count;
    struct usage before = usage_read(bench.pids);
    wanted += run_for(bench.seconds, bench.per_s, probes) * (uint64_t)bench.count;
    struct usage after = usage_read(bench.pids);
    if (!conns_pump_to(&deliveries.count, wanted, TURN_LIMIT_NS))
        errx(1, "%llu deliveries are missing", (unsigned long long)(wanted - deliveries.count));
    printf("numbers %.0f %.0f %.0f %.0f %.0f %.0f\n", idle_us, idle_p99_us,
           histogram_us(&tally.probes, 0.5), histogram_us(&tally.probes, 0.99),
           histogram_us(&deliveries.latency, 0.99),
           (double)(after.on_ns - before.on_ns + after.waiting_ns - before.waiting_ns) / 1e7 /
               bench.seconds);
}

/* A tenth of the subscribers reads no more: what does the server keep for them, what do the others
 * feel? Those may lack messages too, where the machine is too slow for the rate. */
static void run_stalled(void)
{
    int stalled = bench.count / 10;
    deliveries.may_lack = true;
    open_until(bench.count);
    run_for(bench.seconds, bench.per_s, NULL);
    settle();
    double all_p99_us = histogram_us(&deliveries.latency, 0.99);
    uint64_t before = memory_read(bench.pids);

    for (int i = 0; i < stalled; i++)
        conn_stall(bench.subscribers[i]);
    forget_latencies();
    uint64_t from = deliveries.count, wanted;
    wanted = run_for(bench.seconds * 2, bench.per_s, NULL) * (uint64_t)(bench.count - stalled);
    conns_pump_to(&deliveries.count, from + wanted, LATE_NS);
    uint64_t after = memory_read(bench.pids);
    if (tally.closed)
        errx(1, "%llu of those who read were closed", (unsigned long long)tally.closed);

    double lacking = 1 - (double)(deliveries.count - from) / (double)wanted;
    printf("numbers %.0f %.0f %.0f %.2f\n", (double)after - (double)before, all_p99_us,
           histogram_us(&deliveries.latency, 0.99), lacking * 100);
}

/* --- hold: is anybody lost, or a message? ----------------------------------------------------- */

static volatile sig_atomic_t is_over;

static void on_term(int number)
{
    (void)number;
    is_over = 1;
}

static void open_held(enum conn_kind kind, const char *path)
{
    bench.kind = kind;
    bench.path = path;
    open_until(bench.opened + bench.count);
}

static int count_behind(void)
{
    int count = 0;
    for (int i = 0; i < bench.opened; i++)
        count += bench.subscribers[i]->seen != deliveries.made;
    return count;
}

/* Holds subscribers of each kind and publishes to them until SIGTERM; says when that has begun. */
static void run_hold(void)
{
    signal(SIGTERM, on_term);
    deliveries.may_lack = true; /* it is counted */
    open_held(CONN_WS, "/callbacks");
    open_held(CONN_WS, "/coroutine");
    open_held(CONN_SSE, NULL);
    open_held(CONN_POLL, NULL);
    puts("holding");
    fflush(stdout);

    while (!is_over)
        run_for(bench.seconds, bench.per_s, NULL);
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + TURN_LIMIT_NS;
    while (count_behind() > 0 && clock_ns(CLOCK_MONOTONIC) < end)
        conns_pump(clock_ns(CLOCK_MONOTONIC) + SETTLE_NS);
    printf("numbers %llu %llu %llu %llu %d %.0f\n", (unsigned long long)deliveries.made,
           (unsigned long long)tally.closed, (unsigned long long)deliveries.missing,
           (unsigned long long)deliveries.again, count_behind(),
           histogram_us(&deliveries.latency, 0.99));
}

/* --- the program ------------------------------------------------------------------------------ */

static enum conn_kind kind_named(const char *name)
{
    static const char *const names[] = {"ws", "deflate", "sse", "poll", "hello"};
    for (int i = 0; i < 5; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum conn_kind)i;
    errx(64, "there is no kind of connection named %s", name);
}

static void options_read(int argc, char **argv)
{
    deliveries.message_size = 64;
    for (int option; (option = getopt(argc, argv, "m:p:P:k:n:b:s:r:t:1")) != -1;) {
        switch (option) {
        case 'm': bench.mode = optarg; break;
        case 'p': bench.port = atoi(optarg); break;
        case 'P': bench.pids = optarg; break;
        case 'k': bench.kind_name = optarg; break;
        case 'n': bench.count = atoi(optarg); break;
        case 'b': bench.burst = atoi(optarg); break;
        case 's': deliveries.message_size = (size_t)atoi(optarg); break;
        case 'r': bench.per_s = atoi(optarg); break;
        case 't': bench.seconds = atof(optarg); break;
        case '1': bench.is_one_a_post = true; break;
        default: exit(64);
        }
    }
    bench.kind = kind_named(bench.kind_name);
    bool is_size =
        deliveries.message_size >= MESSAGE_SIZE_MIN && deliveries.message_size <= MESSAGE_SIZE_MAX;
    if (!bench.port || !bench.pids || bench.count < 10 || bench.burst < 1 || bench.burst > 64 ||
        !is_size)
        errx(64, "usage: live_client -m fan|memory|pinged|others|stalled|hold -p PORT -P PID,... "
                 "[-k KIND] [-n "
                 "CONNECTIONS] "
                 "[-b PER TURN] [-s BYTES] [-r PER SECOND] [-t SECONDS] [-1]");
}

int main(int argc, char **argv)
{
    options_read(argc, argv);
    bool is_stalled = strcmp(bench.mode, "stalled") == 0;
    conns_open(bench.port);
    bench.path = is_stalled ? "/ws?slow=latest" : NULL; /* neap closes slow ones by default */
    bench.subscribers = calloc((size_t)bench.count * HELD_KINDS, sizeof(struct conn *));
    bench.control = conn_open(CONN_CONTROL, NULL);
    control_hello();

    if (strcmp(bench.mode, "fan") == 0)
        run_fan();
    else if (strcmp(bench.mode, "memory") == 0)
        run_memory();
    else if (strcmp(bench.mode, "pinged") == 0)
        run_pinged();
    else if (strcmp(bench.mode, "others") == 0)
        run_others();
    else if (is_stalled)
        run_stalled();
    else if (strcmp(bench.mode, "hold") == 0)
        run_hold();
    else
        errx(64, "there is no mode %s", bench.mode);

    for (int i = 0; i < bench.opened; i++)
        conn_abort(bench.subscribers[i]);
    return 0;
}
