/* Where a PostgreSQL server is: a connection string, with the names in it looked up. libpq itself
 * would look them up on the loop. */
#ifndef CLIENT_PG_ADDRESS_H
#define CLIENT_PG_ADDRESS_H

#include "net/loop.h"

struct pg_address;
struct pg_conn; /* libpq's PGconn */

/* `error` is NULL when all went well; both are valid during the call. */
typedef void (*pg_address_fn)(void *owner, const struct pg_address *address, const char *error);

/* `dsn`: "host=... dbname=..." or postgresql://. `on_found` is called once, later from the loop,
 * unless pg_address_forget came before. The address frees itself after that. */
struct pg_address *pg_address_look_up(struct loop *loop, const char *dsn, pg_address_fn on_found,
                                      void *owner);
void pg_address_forget(struct pg_address *address);
/* Starts connecting, without waiting. NULL: out of memory. */
struct pg_conn *pg_address_connect(const struct pg_address *address);

#endif
