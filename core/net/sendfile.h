/* A file on its way to a peer. Private to core/net. */
#ifndef NET_SENDFILE_H
#define NET_SENDFILE_H

struct conn_file;

void sendfile_go_on(struct conn_file *file); /* its connection has room: it is sent at the end of
                                            the turn */

#endif
