/* What the tests of core/net share: checks, a loop that is turned until something is true, and
 * peers made of plain sockets in the same thread. */
#ifndef SPEC_NET_H
#define SPEC_NET_H

#include "base/mem.h"
#include "net/conn.h"
#include "net/loop.h"

#include <stdbool.h>
#include <stddef.h>

#define PATIENCE_MS 60000 /* for what takes milliseconds when all is well */

void check(bool is_ok, const char *sentence);
uint64_t real_ms(void);
void turn(struct loop *loop); /* once, sleeping at most a few milliseconds */

/* Turns the loop until `condition` holds; whether it did is for a check to say. */
#define UNTIL(loop, condition)                         \
    do {                                               \
        uint64_t give_up_ms = real_ms() + PATIENCE_MS; \
        while (!(condition) && real_ms() < give_up_ms) \
            turn(loop);                                \
    } while (0)

/* A conn and what it was told. */
struct peer {
    struct conn conn;
    struct bytes got;
    int gone, gone_err, drained, closed;
    void (*on_data)(struct peer *peer); /* after appending to `got`; or NULL */
    bool closes_when_gone;
};
void tcp_pair(int fds[2], int buffer); /* connected, non-blocking; `buffer`: size of both ends', 0:
                                          as it comes */
void unix_pair(int fds[2]);
void peer_open(struct peer *peer, struct loop *loop, int fd, bool is_unix);
void peer_end(struct peer *peer, struct loop *loop); /* closes it and waits for on_closed */
/* Reads what is there, at most `limit`; -1: the end, -2: a reset. */
int read_some(int fd, struct bytes *into, size_t limit);
void fill_pattern(char *data, size_t len, uint32_t seed);

void test_turn(void);
void test_write(void);
void test_end(void);
void test_file(void);
void test_listener(void);
void test_client(void);
void test_work(void);

#endif
