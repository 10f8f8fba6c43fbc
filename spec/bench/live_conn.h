/* The connections of live_client: subscribers of every kind, and those that ask for something. */
#ifndef LIVE_CONN_H
#define LIVE_CONN_H

#include "live_measure.h"

#include <stdbool.h>
#include <stddef.h>

enum conn_kind {
    CONN_WS,
    CONN_DEFLATE, /* WebSocket with permessage-deflate */
    CONN_SSE,
    CONN_POLL,    /* polls again as soon as it is answered */
    CONN_HELLO,   /* asks GET /hello when told to */
    CONN_PROBE,   /* the same, and how long it took counts */
    CONN_CONTROL, /* publishes */
};

/* Owned by live_conn.c, for ever. */
struct conn {
    int fd;             /* -1: closed */
    unsigned char kind; /* enum conn_kind */
    bool is_ready;      /* the server has accepted the subscription, or answered the first time */
    bool is_waiting;    /* for an answer */
    size_t carry_size;  /* of what arrived and was not whole yet */
    char *carry;        /* NULL: nothing */
    uint64_t asked_ns;  /* CLOCK_REALTIME, of a probe */
    uint64_t seen;      /* the number of the newest message */
    const char *path;   /* of a subscriber */
};

/* What has happened to all of them. */
struct tally {
    uint64_t ready;          /* connections that are */
    uint64_t answers;        /* to hello */
    uint64_t control;        /* answers to CONN_CONTROL */
    uint64_t pings;          /* answered */
    uint64_t closed;         /* by the server */
    /* From sending the request to the arrival of the answer in the kernel. */
    struct histogram probes;
};
extern struct tally tally;

void conns_open(int port); /* once, before anything else */

/* Connects and sends the first request, except for CONN_CONTROL. Exits when it cannot. `path`, for
 * ever: where it subscribes, NULL: at the one of its kind. */
struct conn *conn_open(enum conn_kind kind, const char *path);
void conn_ask(struct conn *conn);                                  /* sends GET /hello */
void conn_send(struct conn *conn, const char *bytes, size_t size); /* exits unless all of it fits */
void conn_stall(struct conn *conn); /* reads no more, as if the client hung */
void conn_abort(struct conn *conn); /* resets it: no port stays behind in TIME_WAIT */

/* Waits until something arrives or until that time (CLOCK_MONOTONIC), and reads a little of it. */
void conns_pump(uint64_t until_ns);
/* Pumps until *count has reached `wanted`; false: that took longer than `limit_ns`. */
bool conns_pump_to(const uint64_t *count, uint64_t wanted, uint64_t limit_ns);

#endif
