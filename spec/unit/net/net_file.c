/* Tests of sending files: order, slow readers, files that are cut short, connections that end
 * meanwhile. */
#include "net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILE_SIZE (3 * 1024 * 1024 + 17)

static char *pattern;

struct sending {
    struct peer peer;
    struct conn_file file;
    int done, err;
    bool was_closed_before;
    int left_to_send; /* files that on_done starts */
    bool finishes;    /* in on_done */
    bool is_in_call;
};

static void on_done(struct conn *conn, struct conn_file *file, int err)
{
    struct sending *sending = container_of(file, struct sending, file);
    sending->done++;
    sending->err = sending->is_in_call ? -1 : err;
    sending->was_closed_before = sending->peer.closed > 0;
    if (sending->left_to_send > 0) {
        sending->left_to_send--;
        file->offset = 0;
        file->left = 1000;
        conn_write(conn, "<", 1);
        conn_send_file(conn, file);
        conn_write(conn, ">", 1);
    } else if (sending->finishes) {
        conn_write(conn, ".", 1);
        conn_finish(conn);
    }
}

static int make_file(size_t size)
{
    char path[] = "/tmp/neap-net-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    if (write(fd, pattern, size) != (ssize_t)size)
        abort();
    return fd;
}

static void sending_open(struct sending *sending, struct loop *loop, int fd, bool is_unix)
{
    *sending = (struct sending){0};
    peer_open(&sending->peer, loop, fd, is_unix);
}

static void send_part(struct sending *sending, int fd, uint64_t offset, uint64_t left)
{
    sending->file = (struct conn_file){.fd = fd, .offset = offset, .left = left, .done = on_done};
    sending->is_in_call = true;
    conn_send_file(&sending->peer.conn, &sending->file);
    sending->is_in_call = false;
}

static bool has_part(const struct bytes *got, size_t at, size_t offset, size_t len)
{
    return got->len >= at + len && memcmp(got->data + at, pattern + offset, len) == 0;
}

/* Text before, the file, text after, to a reader that takes little at a time. */
static void test_slow_reader(struct loop *loop, int fd, int fds[2], bool is_unix,
                             const char *sentence)
{
    struct sending sending;
    struct bytes got = {0};
    sending_open(&sending, loop, fds[0], is_unix);
    conn_cork(&sending.peer.conn);
    conn_write(&sending.peer.conn, "before", 6);
    send_part(&sending, fd, 5, FILE_SIZE - 5);
    conn_write(&sending.peer.conn, "after", 5);
    conn_uncork(&sending.peer.conn);
    for (size_t i = 1; i < 200; i++) { /* slow at first */
        read_some(fds[1], &got, i * 37);
        turn(loop);
    }
    UNTIL(loop, read_some(fds[1], &got, 65536) <= 0 && got.len >= FILE_SIZE + 6 && sending.done);
    check(got.len == FILE_SIZE - 5 + 11 && memcmp(got.data, "before", 6) == 0 &&
              has_part(&got, 6, 5, FILE_SIZE - 5) &&
              memcmp(got.data + got.len - 5, "after", 5) == 0 && sending.done == 1 &&
              sending.err == 0,
          sentence);
    UNTIL(loop, sending.peer.conn.outbox == NULL);
    check(sending.peer.conn.outbox == NULL, "file: nothing is kept when it has been sent");
    bytes_deinit(&got);
    peer_end(&sending.peer, loop);
    close(fds[1]);
}

static void test_waits_for_bytes(struct loop *loop, int fd)
{
    int fds[2];
    struct sending sending;
    struct bytes got = {0};
    tcp_pair(fds, 8192);
    sending_open(&sending, loop, fds[0], false);
    conn_write(&sending.peer.conn, pattern, FILE_SIZE);
    send_part(&sending, fd, 0, FILE_SIZE);
    conn_write(&sending.peer.conn, "z", 1);
    conn_finish(&sending.peer.conn);
    int end = 0;
    UNTIL(loop, (end = read_some(fds[1], &got, 65536)) < 0);
    check(end == -1 && got.len == 2 * FILE_SIZE + 1 && has_part(&got, 0, 0, FILE_SIZE) &&
              has_part(&got, FILE_SIZE, 0, FILE_SIZE) && got.data[got.len - 1] == 'z',
          "file: follows what waited before it, and is finished before closing");
    check(sending.done == 1 && sending.err == 0 && !sending.was_closed_before,
          "file: done comes once, before closed");
    UNTIL(loop, sending.peer.closed);
    bytes_deinit(&got);
    close(fds[1]);
}

static void test_several(struct loop *loop, int fd)
{
    int fds[2];
    struct sending sending;
    struct bytes got = {0};
    tcp_pair(fds, 0);
    sending_open(&sending, loop, fds[0], false);
    sending.left_to_send = 3;
    sending.finishes = true;
    send_part(&sending, fd, 0, 1000);
    int end = 0;
    UNTIL(loop, (end = read_some(fds[1], &got, 65536)) < 0);
    check(end == -1 && got.len == 4007 && has_part(&got, 1001, 0, 1000) &&
              has_part(&got, 2003, 0, 1000) && has_part(&got, 3005, 0, 1000) &&
              memcmp(got.data + 4005, ">.", 2) == 0 && sending.done == 4,
          "file: done may write, send another and finish");
    UNTIL(loop, sending.peer.closed);
    bytes_deinit(&got);
    close(fds[1]);
}

static void test_short(struct loop *loop)
{
    int fds[2];
    struct sending sending;
    struct bytes got = {0};
    int fd = make_file(100000);
    tcp_pair(fds, 0);
    sending_open(&sending, loop, fds[0], false);
    send_part(&sending, fd, 0, 200000);
    UNTIL(loop, sending.done);
    check(sending.done == 1 && sending.err == UV_EOF && sending.file.left == 100000,
          "file: a shorter one is told");
    peer_end(&sending.peer, loop);
    close(fds[1]);
    close(fd);

    fd = make_file(FILE_SIZE);
    tcp_pair(fds, 8192);
    sending_open(&sending, loop, fds[0], false);
    send_part(&sending, fd, 0, FILE_SIZE);
    for (int i = 0; i < 3; i++)
        turn(loop);
    check(ftruncate(fd, 0) == 0 && sending.done == 0, "file: (cut short while it is sent)");
    UNTIL(loop, read_some(fds[1], &got, 65536) <= 0 && sending.done);
    check(sending.done == 1 && sending.err == UV_EOF && has_part(&got, 0, 0, got.len),
          "file: one that is cut short is told");
    peer_end(&sending.peer, loop);
    bytes_deinit(&got);
    close(fds[1]);

    tcp_pair(fds, 0);
    sending_open(&sending, loop, fds[0], false);
    send_part(&sending, fd, 0, 0);
    check(sending.done == 0, "file: done is never called from inside conn_send_file");
    UNTIL(loop, sending.done);
    check(sending.done == 1 && sending.err == 0, "file: nothing is sent with success");
    send_part(&sending, -1, 0, 10);
    UNTIL(loop, sending.done == 2);
    check(sending.err == UV_EBADF && sending.peer.gone == 0,
          "file: a bad one is the file's error, not the connection's");
    peer_end(&sending.peer, loop);
    close(fds[1]);
    close(fd);
}

static void test_file_without_splice(struct loop *loop)
{
    int fds[2];
    struct sending sending;
    struct bytes got = {0};
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    tcp_pair(fds, 0);
    sending_open(&sending, loop, fds[0], false);
    send_part(&sending, fd, 0, 200);
    UNTIL(loop, read_some(fds[1], &got, 65536) <= 0 && sending.done);
    check(sending.done == 1 && sending.err == 0 && got.len == 200,
          "file: one of /proc is sent as well");
    bytes_deinit(&got);
    peer_end(&sending.peer, loop);
    close(fd);
    close(fds[1]);
}

static void test_ended(struct loop *loop, int fd)
{
    int fds[2];
    struct sending sending;
    struct linger reset = {.l_onoff = 1};
    for (int turns = 0; turns < 4; turns++) { /* not begun, begun, waiting for the reader */
        tcp_pair(fds, 8192);
        sending_open(&sending, loop, fds[0], false);
        if (turns == 3)
            conn_write(&sending.peer.conn, pattern, FILE_SIZE);
        send_part(&sending, fd, 0, FILE_SIZE);
        for (int i = 0; i < turns; i++)
            turn(loop);
        peer_end(&sending.peer, loop);
        check(sending.done == 1 && sending.err == UV_ECANCELED && !sending.was_closed_before,
              "file: when the connection closes, done is told before closed");
        close(fds[1]);
    }

    tcp_pair(fds, 8192);
    sending_open(&sending, loop, fds[0], false);
    send_part(&sending, fd, 0, FILE_SIZE);
    turn(loop);
    setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fds[1]);
    UNTIL(loop, sending.done && sending.peer.gone);
    check(sending.done == 1 && sending.err < 0 && sending.peer.gone == 1, "file: a reset ends it");
    send_part(&sending, fd, 0, 10);
    UNTIL(loop, sending.done == 2);
    check(sending.done == 2 && sending.err < 0 && sending.peer.gone == 1,
          "file: on a broken connection it fails");
    conn_close(&sending.peer.conn);
    send_part(&sending, fd, 0, 10);
    UNTIL(loop, sending.peer.closed);
    check(sending.done == 3 && sending.err == UV_ECANCELED,
          "file: on a closing one it is cancelled");
}

static void test_file_stall(struct loop *loop, int fd)
{
    int fds[2];
    struct sending sending;
    tcp_pair(fds, 8192);
    sending_open(&sending, loop, fds[0], false);
    sending.peer.conn.stall_ms = 100;
    send_part(&sending, fd, 0, FILE_SIZE);
    UNTIL(loop, sending.peer.closed);
    check(sending.peer.gone_err == UV_ETIMEDOUT && sending.done == 1 && sending.err == UV_ECANCELED,
          "file: a stalled reader is closed");
    close(fds[1]);
}

void test_file(void)
{
    struct loop loop;
    int fds[2];
    loop_init(&loop, NULL);
    pattern = mem_alloc(FILE_SIZE);
    fill_pattern(pattern, FILE_SIZE, 5);
    int fd = make_file(FILE_SIZE);

    tcp_pair(fds, 8192);
    test_slow_reader(&loop, fd, fds, false,
                     "file: arrives whole and in its place at a slow reader");
    unix_pair(fds);
    test_slow_reader(&loop, fd, fds, true, "file: on a UNIX socket as well");
    test_waits_for_bytes(&loop, fd);
    test_several(&loop, fd);
    test_short(&loop);
    test_file_without_splice(&loop);
    test_ended(&loop, fd);
    test_file_stall(&loop, fd);

    close(fd);
    mem_free(pattern);
    loop_deinit(&loop);
}
