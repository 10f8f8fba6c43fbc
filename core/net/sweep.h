/* The sweep: looks now and then whether peers of connections that do not read have left. Private to
 * core/net. */
#ifndef NET_SWEEP_H
#define NET_SWEEP_H

struct conn;

void sweep_watch(struct conn *conn); /* it stopped reading */
void sweep_forget(struct conn *conn);

#endif
