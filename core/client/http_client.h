/* The HTTP client of one loop: libcurl's multi handle, whose transfers share kept connections. curl
 * says which sockets and what time it waits for, and the loop tells it when they are ready. */
#ifndef CLIENT_HTTP_CLIENT_H
#define CLIENT_HTTP_CLIENT_H

#include "base/slots.h"
#include "net/loop.h"

struct http_client;
struct http_transfer;

struct http_client *http_client_new(struct loop *loop);
/* Ends every transfer and closes the kept connections. */
void http_client_reset(struct http_client *client);
/* The same, for good. The loop must turn once more. */
void http_client_free(struct http_client *client);
/* Connections to one host, and in total; further transfers wait for one, first come first
 * served. */
void http_client_set_maximum(struct http_client *client, long per_host, long total);
struct http_transfer *http_client_find(const struct http_client *client, slot_handle handle);

#endif
