/* Deaf workers: one that is held up for a second (by os.execute, by a loop in a __gc) while
 * somebody waits at its door gets a stand-in, another worker that accepts there until it answers
 * again. The server owns this; main thread only. */
#ifndef TOP_DEAF_H
#define TOP_DEAF_H

#include "base/bytes.h"
#include "net/loop.h"

struct sockets;
struct worker;
struct door;

struct deaf {
    struct loop *loop;
    struct worker *const *workers;
    int count;
    const struct sockets *sockets;

    struct door *doors; /* one per worker; NULL: nobody looks */
    struct deadline look;
};

/* The caller has set what is above the blank line. From here until deaf_stop every worker must
 * accept at its sockets. */
void deaf_start(struct deaf *deaf);
void deaf_stop(struct deaf *deaf); /* any number of times */
/* A line for each that is deaf now, for people. */
void deaf_describe(const struct deaf *deaf, struct bytes *text);

#endif
