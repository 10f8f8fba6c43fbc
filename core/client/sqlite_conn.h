/* One connection to a database file. It is opened by its first call. Calls run on a thread of the
 * pool, one at a time; in between, the connection belongs to its pool (sqlite_pool.h). No call ever
 * waits for a lock: it fails with "busy", and may be made again. */
#ifndef CLIENT_SQLITE_CONN_H
#define CLIENT_SQLITE_CONN_H

#include "client/sqlite_call.h"

#include <stdbool.h>
#include <stdint.h>

struct sqlite_conn;

struct sqlite_options {
    const char *path;
    bool is_readonly; /* the file must exist, and is not changed */
    bool is_reader;   /* refuses to write, with "writes"; another connection does that */
    bool is_durable;  /* a commit survives a power cut, and costs an fsync */
    int statements;   /* kept prepared */
    uint64_t limit;   /* bytes of any one value */
};

struct sqlite_conn *sqlite_conn_new(const struct sqlite_options *options); /* copies them */

/* ---- on a thread of the pool ---- */

void sqlite_conn_run(struct sqlite_conn *conn, struct sqlite_call *call);
/* Ends what was begun: a statement that has more rows, a transaction that was not committed. */
void sqlite_conn_tidy(struct sqlite_conn *conn);
void sqlite_conn_free(struct sqlite_conn *conn); /* closes it */

/* ---- on the loop's thread ---- */

/* The call that runs, or is about to, ends soon, with "interrupted" unless it was through. */
void sqlite_conn_interrupt(struct sqlite_conn *conn);
void sqlite_conn_allow(struct sqlite_conn *conn);         /* before a call: forgets the above */
bool sqlite_conn_is_tidy(const struct sqlite_conn *conn); /* while no call runs */

#endif
