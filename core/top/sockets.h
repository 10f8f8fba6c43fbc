/* The listening sockets of a server: bound once by the main thread, then each worker takes over its
 * own. */
#ifndef TOP_SOCKETS_H
#define TOP_SOCKETS_H

#include "base/bytes.h"
#include "config/config.h"
#include "net/address.h"

struct sockets {
    const struct config_list *listen;
    struct address *addresses; /* one per item of listen, with the real port */
    int *fds;                  /* fds[worker * addresses + address] */
    int workers;
};

/* 0, or -1 after saying on stderr what is wrong and what may help. Zeroed before; deinit in either
 * case. */
int sockets_bind(struct sockets *sockets, const struct config_list *listen, int workers);
/* One fd per address; it closes them. */
const int *sockets_of(const struct sockets *sockets, int worker);
/* "http://127.0.0.1:8080, unix:/tmp/a" */
void sockets_describe(const struct sockets *sockets, struct bytes *text);
void sockets_deinit(struct sockets *sockets); /* removes the files of UNIX sockets */

#endif
