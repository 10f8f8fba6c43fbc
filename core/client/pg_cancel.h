/* A request to a server to stop what a connection of ours is doing; see pg_client_cancel. */
#ifndef CLIENT_PG_CANCEL_H
#define CLIENT_PG_CANCEL_H

#include <stdbool.h>

struct pg_cancel;
typedef void (*pg_cancel_fn)(void *owner, bool is_sent);
void pg_cancel_forget(struct pg_cancel *cancel);

#endif
