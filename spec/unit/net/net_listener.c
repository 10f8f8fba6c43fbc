/* Tests of listening: ports in use, descriptors that run out, stopping; and of outgoing
 * connections. */
#include "net.h"

#include "net/client.h"
#include "net/listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS 3
#define MAX_FDS 2000

struct door {
    struct listener listener;
    int fds[MAX_FDS];
    int count, stopped, shortages;
    bool can_evict;
};

static void on_accept(struct listener *listener, int fd)
{
    struct door *door = listener->owner;
    door->fds[door->count++] = fd;
}

static bool on_shortage(struct listener *listener)
{
    struct door *door = listener->owner;
    door->shortages++;
    if (!door->can_evict)
        return false;
    close(door->fds[--door->count]);
    return true;
}

static void on_stopped(struct listener *listener)
{
    struct door *door = listener->owner;
    door->stopped++;
}

static void door_open(struct door *door, struct loop *loop, int fd)
{
    *door = (struct door){
        .listener = {.on_accept = on_accept, .on_shortage = on_shortage, .owner = door}};
    if (listener_start(&door->listener, loop, fd) != 0)
        abort();
}

static void door_empty(struct door *door)
{
    while (door->count > 0)
        close(door->fds[--door->count]);
}

static void door_close(struct door *door, struct loop *loop)
{
    listener_stop(&door->listener, on_stopped);
    UNTIL(loop, door->stopped);
    door_empty(door);
}

static int dial(const struct address *addr)
{
    int fd = socket(addr->sa.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, &addr->sa.any, addr->len) == 0)
        return fd;
    int err = -errno;
    close(fd);
    return err;
}

static int bind_one(const char *text, struct address *addr)
{
    int fd;
    address_parse(addr, text);
    int err = listener_bind(addr, 1, &fd);
    return err ? err : fd;
}

static int bind_again(const struct address *addr)
{
    struct address copy = *addr;
    int fd;
    int err = listener_bind(&copy, 1, &fd);
    if (err == 0)
        close(fd);
    return err;
}

/* ---- TCP ---- */

static void test_ports(struct loop *loop, const char *text)
{
    struct address addr;
    struct door *doors = mem_calloc(WORKERS * sizeof(*doors));
    int fds[WORKERS], dialled[30];
    address_parse(&addr, text);
    check(listener_bind(&addr, WORKERS, fds) == 0 && address_port(&addr) != 0,
          "bind: port 0 becomes a number");
    check(bind_again(&addr) == -EADDRINUSE,
          "bind: a second server is refused while the first still starts");
    check(dial(&addr) == -ECONNREFUSED, "bind: nobody can connect before the start");
    for (int i = 0; i < WORKERS; i++)
        door_open(&doors[i], loop, fds[i]);
    check(bind_again(&addr) == -EADDRINUSE, "bind: a second server is refused");

    for (int i = 0; i < 30; i++)
        dialled[i] = dial(&addr);
    UNTIL(loop, doors[0].count + doors[1].count + doors[2].count == 30);
    check(doors[0].count > 0 && doors[1].count > 0 && doors[2].count > 0,
          "bind: all workers share one port");

    for (int i = 0; i < WORKERS; i++)
        door_close(&doors[i], loop); /* closes first: its side is left in TIME_WAIT or FIN_WAIT2 */
    for (int i = 0; i < 15; i++)
        close(dialled[i]);
    turn(loop);
    check(bind_again(&addr) == 0, "bind: a restart is not held up by old connections");
    for (int i = 15; i < 30; i++)
        close(dialled[i]);
    mem_free(doors);
}

static int dial_many(const struct address *addr, int *fds, int count)
{
    int connected = 0;
    for (int i = 0; i < count; i++) {
        fds[i] = dial(addr);
        connected += fds[i] >= 0;
    }
    return connected;
}

static int turns_in(struct loop *loop, uint64_t ms)
{
    int turns = 0;
    uint64_t end_ms = real_ms() + ms;
    while (real_ms() < end_ms) {
        turn(loop);
        turns++;
    }
    return turns;
}

/* Leaves room for `room` more descriptors; gives back the old limit. */
static struct rlimit squeeze_fds(int room)
{
    struct rlimit old, now;
    int next = dup(0);
    close(next);
    getrlimit(RLIMIT_NOFILE, &old);
    now = old;
    now.rlim_cur = (rlim_t)(next + room);
    setrlimit(RLIMIT_NOFILE, &now);
    return old;
}

static void test_shortage(struct loop *loop)
{
    struct address addr;
    struct door *door = mem_calloc(sizeof(*door));
    int dialled[8];
    door_open(door, loop, bind_one("127.0.0.1:0", &addr));
    struct rlimit old = squeeze_fds(8 + 2); /* our side of 8, and 2 of theirs */
    check(dial_many(&addr, dialled, 8) == 8, "shortage: (8 dial, descriptors for 2)");
    UNTIL(loop, door->shortages > 0);
    check(door->count == 2, "shortage: those for whom there are descriptors get in");
    int before = door->shortages;
    int turns = turns_in(loop, 550);
    check(door->shortages - before <= 6 && turns < 250,
          "shortage: tries every 100 ms and does not spin");

    close(door->fds[0]);
    close(door->fds[1]);
    door->count = 0;
    UNTIL(loop, door->count == 2);
    check(door->count == 2, "shortage: goes on when descriptors are free again");

    door->can_evict = true;
    before = door->shortages;
    UNTIL(loop, door->shortages >= before + 4);
    UNTIL(loop, !deadline_is_set(&door->listener.pause) && turns_in(loop, 1));
    check(door->count == 2 && door->shortages == before + 4,
          "shortage: newcomers get the place of those evicted");
    setrlimit(RLIMIT_NOFILE, &old);
    for (int i = 0; i < 8; i++)
        close(dialled[i]);
    door_close(door, loop);
    mem_free(door);
}

static void on_accept_stop(struct listener *listener, int fd)
{
    on_accept(listener, fd);
    listener_stop(listener, on_stopped);
}

static void test_stop(struct loop *loop)
{
    struct address addr;
    struct door *door = mem_calloc(sizeof(*door));
    int dialled[100];
    door_open(door, loop, bind_one("127.0.0.1:0", &addr));
    dial_many(&addr, dialled, 100);
    turns_in(loop, 1);
    check(door->count > 0, "stop: (as many as there is time for)");
    door_empty(door);
    for (int i = 0; i < 100; i++)
        close(dialled[i]);
    turn(loop);
    door_empty(door);

    listener_pause(&door->listener, 60000);
    dial_many(&addr, dialled, 100);
    turn(loop);
    check(door->count == 0, "pause: nobody is accepted");
    listener_stop(&door->listener, on_stopped);
    check(door->count == 100, "stop: those who are waiting are accepted first");
    check(dial(&addr) == -ECONNREFUSED && door->stopped == 0, "stop: then nobody gets in");
    UNTIL(loop, door->stopped);
    door_empty(door);
    for (int i = 0; i < 100; i++)
        close(dialled[i]);

    door_open(door, loop, bind_one("127.0.0.1:0", &addr));
    door->listener.on_accept = on_accept_stop;
    dial_many(&addr, dialled, 10);
    UNTIL(loop, door->stopped);
    check(door->count == 10 && door->stopped == 1, "stop: may be asked for while accepting");
    door_empty(door);
    for (int i = 0; i < 10; i++)
        close(dialled[i]);
    mem_free(door);
}

/* ---- UNIX ---- */

static void test_unix(struct loop *loop)
{
    char folder[] = "/tmp/neap-net-XXXXXX", text[64];
    struct address addr;
    struct stat info;
    struct door *doors = mem_calloc(2 * sizeof(*doors));
    int fds[2], dialled[10];
    if (mkdtemp(folder) == NULL)
        abort();
    snprintf(text, sizeof(text), "unix:%s/socket", folder);
    address_parse(&addr, text);
    check(listener_bind(&addr, 2, fds) == 0, "unix: bound for two workers");
    door_open(&doors[0], loop, fds[0]);
    door_open(&doors[1], loop, fds[1]);
    check(bind_again(&addr) == -EADDRINUSE, "unix: a second server is refused");
    dial_many(&addr, dialled, 5);
    UNTIL(loop, doors[0].count + doors[1].count >= 5);
    door_close(&doors[0], loop);
    dial_many(&addr, dialled + 5, 5);
    UNTIL(loop, doors[1].count >= 5);
    check(doors[1].count >= 5 && doors[1].listener.is_unix,
          "unix: when one worker stops, the other goes on");
    door_close(&doors[1], loop);
    check(dial(&addr) == -ECONNREFUSED && stat(folder, &info) == 0,
          "unix: (a file is left as after a crash)");
    check(bind_again(&addr) == 0, "unix: a stale file is replaced");
    listener_unlink(&addr);
    check(stat(text + 5, &info) != 0 && errno == ENOENT, "unix: the file is removed at the end");

    FILE *precious = fopen(text + 5, "w");
    fclose(precious);
    check(bind_again(&addr) == -EADDRINUSE && stat(text + 5, &info) == 0,
          "unix: a file that is no socket is left alone");
    unlink(text + 5);
    rmdir(folder);
    check(bind_again(&addr) == -ENOENT, "unix: a missing folder is an error");
    for (int i = 0; i < 10; i++)
        close(dialled[i]);
    mem_free(doors);
}

void test_listener(void)
{
    struct loop loop;
    struct address addr;
    loop_init(&loop, NULL);
    test_ports(&loop, "127.0.0.1:0");
    int fd = bind_one("[::1]:0", &addr);
    if (fd >= 0)
        test_ports(&loop, "[::1]:0");
    close(fd);
    test_shortage(&loop);
    test_stop(&loop);
    test_unix(&loop);
    loop_deinit(&loop);
}

/* ---- outgoing ---- */

struct call {
    struct client client;
    int calls, result;
};

static void on_connected(struct client *client, int fd_or_err)
{
    struct call *call = container_of(client, struct call, client);
    call->calls++;
    call->result = fd_or_err;
}

static int call_for(struct loop *loop, const char *host, uint16_t port, uint32_t limit_ms)
{
    struct call call = {0};
    client_connect(&call.client, loop, host, port, limit_ms, on_connected);
    if (call.calls != 0)
        return -1;
    UNTIL(loop, call.calls);
    return call.calls == 1 ? call.result : -1;
}

static int call_and_cancel(struct loop *loop, const char *host, uint16_t port, int turns)
{
    struct call call = {0};
    client_connect(&call.client, loop, host, port, 5000, on_connected);
    for (int i = 0; i < turns; i++)
        uv_run(&loop->uv, UV_RUN_NOWAIT);
    client_cancel(&call.client);
    client_cancel(&call.client);
    if (call.calls != 0)
        return -1;
    UNTIL(loop, call.calls);
    return call.result;
}

static void test_client_ends(struct loop *loop, const struct address *addr)
{
    uint16_t port = address_port(addr);
    struct peer peer = {0};
    int fd = call_for(loop, "127.0.0.1", port, 5000);
    check(fd >= 0, "client: connects to a number");
    peer_open(&peer, loop, fd, false);
    conn_write(&peer.conn, "hello", 5);
    peer_end(&peer, loop);
    fd = call_for(loop, "localhost", port, 5000);
    check(fd >= 0, "client: connects to a name");
    close(fd);
    check(call_and_cancel(loop, "127.0.0.1", port, 0) == UV_ECANCELED,
          "client: can be cancelled while it connects");
    check(call_and_cancel(loop, "localhost", port, 0) == UV_ECANCELED,
          "client: can be cancelled while it looks up");
}

static void test_client_errors(struct loop *loop)
{
    struct address addr;
    char name[300];
    int fd = bind_one("127.0.0.1:0", &addr);
    uint16_t port = address_port(&addr);
    check(call_for(loop, "127.0.0.1", port, 5000) == UV_ECONNREFUSED, "client: refused");
    check(call_for(loop, "localhost", port, 5000) == UV_ECONNREFUSED,
          "client: refused at all addresses of a name");
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    check(call_for(loop, name, port, 5000) == UV_ENAMETOOLONG,
          "client: a name that is too long is refused, not cut");
    int err = call_for(loop, "no such host", port, 5000);
    check(err == UV_EAI_NONAME || err == UV_EAI_FAIL || err == UV_EAI_AGAIN,
          "client: an unknown name is an error");

    int dialled[10] = {0};
    listen(fd, 0); /* full after one or two: the kernel then ignores who knocks */
    for (int i = 0; i < 10; i++) {
        dialled[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(dialled[i], &addr.sa.any, addr.len);
    }
    uint64_t began_ms = real_ms();
    err = call_for(loop, "127.0.0.1", port, 100);
    check(err == UV_ETIMEDOUT && real_ms() - began_ms >= 99,
          "client: gives up when its time is over");
    for (int i = 0; i < 10; i++)
        close(dialled[i]);
    close(fd);
}

void test_client(void)
{
    struct loop loop;
    struct address addr;
    struct door *door = mem_calloc(sizeof(*door));
    loop_init(&loop, NULL);
    door_open(door, &loop, bind_one("127.0.0.1:0", &addr));
    test_client_ends(&loop, &addr);
    door_close(door, &loop);
    test_client_errors(&loop);
    mem_free(door);
    loop_deinit(&loop);
}
