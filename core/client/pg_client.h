/* One connection to a PostgreSQL server: libpq without waiting. Everything that could block goes to
 * the thread pool (names, cancel requests) or waits for the loop. Owned by whoever opened it. */
#ifndef CLIENT_PG_CLIENT_H
#define CLIENT_PG_CLIENT_H

#include "client/pg_cancel.h"
#include "net/loop.h"

#include <stdbool.h>
#include <stddef.h>

struct pg_client;
struct pg_result; /* libpq's PGresult, see pg_result.h */

enum pg_state {
    PG_CONNECTING,
    PG_IDLE,   /* ready, outside of a transaction */
    PG_INSIDE, /* ready, in a transaction */
    PG_BUSY,   /* a statement was sent whose results were not all taken */
    PG_BROKEN, /* pg_client_error says why; only to be closed */
};

enum pg_next { PG_WAIT, PG_RESULT, PG_DONE };

/* Connected or broken, results can be taken, or a notification has come: look. Never called from
 * inside a pg_client_... function. */
typedef void (*pg_change_fn)(void *owner);

struct pg_client *pg_client_open(struct loop *loop, const char *dsn, size_t max_message,
                                 pg_change_fn on_change, void *owner);
void pg_client_close(struct pg_client *client); /* frees it; on_change is not called any more */
enum pg_state pg_client_state(const struct pg_client *client);
const char *pg_client_error(const struct pg_client *client);

/* A statement. With params the extended protocol, else (`is_script`) several statements may be in
 * the text. The results come row by row. */
struct pg_statement {
    const char *sql;
    int count; /* of parameters */
    const unsigned *types;
    const char *const *values;
    const int *lengths;
    const int *formats;
    bool is_script;
};
int pg_client_send(struct pg_client *client, const struct pg_statement *statement); /* 0, or -1 */
/* PG_RESULT: one more result, to be freed by the caller. PG_WAIT: on_change comes. PG_DONE: these
 * were all. */
enum pg_next pg_client_next(struct pg_client *client, struct pg_result **result);

/* From the first call on, notifications are kept until they are taken; reading stops meanwhile. */
struct pg_notice {
    char *channel;
    char *payload;
    void *memory; /* for pg_client_free_notice */
};
bool pg_client_take_notice(struct pg_client *client, struct pg_notice *notice);
void pg_client_free_notice(struct pg_notice *notice);

/* Asks the server, from the thread pool, to stop what this connection is doing. `on_sent` is called
 * once, unless pg_cancel_forget came before; it frees itself. NULL: there is no connection. */
struct pg_cancel *pg_client_cancel(struct pg_client *client, pg_cancel_fn on_sent, void *owner);

#endif
