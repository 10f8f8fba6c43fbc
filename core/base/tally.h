/* Counts of what is open in the whole process, so that an end can prove that nothing was left. */
#ifndef BASE_TALLY_H
#define BASE_TALLY_H

#include <stdint.h>

enum tally_kind {
    TALLY_CONN,
    TALLY_REQUEST,
    TALLY_WEBSOCKET,
    TALLY_TASK,
    TALLY_FILE,
    TALLY_LISTENER,
    TALLY_LOOP,
    TALLY_OUTLET,
    TALLY_FEED,
    TALLY_THREAD,
    TALLY_DATABASE,
    TALLY_TRANSFER,
    TALLY_PG,
    TALLY_KINDS
};

void tally_add(enum tally_kind kind, int delta); /* any thread */
int64_t tally_count(enum tally_kind kind);
const char *tally_name(enum tally_kind kind);

#endif
