/* What pg_cancel.c needs of a connection. Private to core/client. */
#ifndef CLIENT_PG_CLIENT_STATE_H
#define CLIENT_PG_CLIENT_STATE_H

struct loop;
struct pg_client;
struct pg_conn;

struct pg_conn *pg_client_libpq(const struct pg_client *client);
struct loop *pg_client_loop(const struct pg_client *client);

#endif
