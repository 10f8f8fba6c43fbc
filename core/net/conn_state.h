/* What the files about a connection share. Private to core/net. */
#ifndef NET_CONN_STATE_H
#define NET_CONN_STATE_H

#include "net/conn.h"

void conn_gone(struct conn *conn, int err);              /* tells the owner, once */
void conn_settled(struct conn *conn, bool owes_drained); /* the outbox has emptied */
void conn_serve(struct conn *conn);                      /* it is its turn */
/* The connection has room: its file is sent at the end of the turn. */
void conn_file_go_on(struct conn_file *file);

#endif
