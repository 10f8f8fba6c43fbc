/* The inside of a connection, for sqlite_conn.c (its life) and sqlite_run.c (its work). */
#ifndef CLIENT_SQLITE_CONN_STATE_H
#define CLIENT_SQLITE_CONN_STATE_H

#include "client/sqlite_conn.h"
#include "client/sqlite_statement.h"

#include <sqlite3.h>
#include <stdatomic.h>

struct sqlite_conn {
    struct sqlite_options options;
    char *path;
    sqlite3 *_Atomic db;     /* NULL until it is open */
    _Atomic bool is_stopped; /* asked to stop: SQLite looks at it every few thousand steps */
    bool is_trusted;         /* what is prepared now is ours: it may say BEGIN */
    bool in_transaction;     /* one was begun; if SQLite is in none, it has rolled that back */
    struct statements cache;
    sqlite3_stmt *open; /* has more rows; the cache's */
};

/* SQLITE_OK also when it was open. */
int sqlite_conn_open(struct sqlite_conn *conn, struct sqlite_call *call);
/* Ends the statement that has more rows. While it is open, an interrupt holds for whatever is
 * begun. */
void sqlite_conn_abandon(struct sqlite_conn *conn);
/* Runs statements of our own. */
int sqlite_conn_control(struct sqlite_conn *conn, const char *sql);

#endif
