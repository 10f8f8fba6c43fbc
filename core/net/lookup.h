/* Names, looked up by getaddrinfo on threads of the process that come when they are needed. Not by
 * libuv, which ends the process when it can start no thread. */
#ifndef NET_LOOKUP_H
#define NET_LOOKUP_H

#include "net/loop.h"

#include <netdb.h>

struct lookup;
/* On the loop; takes over `found`. `err` as libuv's: UV_EAI_NONAME and its like. */
typedef void (*lookup_fn)(void *arg, int err, struct addrinfo *found);

void lookup_set_threads(unsigned most); /* before the first start; else 4 */
/* 0 and the lookup, which frees itself; or a negative error: fn will not be called. */
int lookup_start(struct lookup **lookup, struct loop *loop, const char *host, uint16_t port,
                 lookup_fn fn, void *arg);
/* Nobody waits for it any more: fn will not be called. It cannot be interrupted. */
void lookup_abandon(struct lookup *lookup);

#endif
