/* What http_client.c and http_transfer.c know of each other. Private to core/client. */
#ifndef CLIENT_HTTP_CLIENT_STATE_H
#define CLIENT_HTTP_CLIENT_STATE_H

#include "base/list.h"
#include "client/http_client.h"

#include <curl/curl.h>

struct http_client {
    struct loop *loop;
    CURLM *multi;
    long per_host; /* connections at most */
    long total;
    struct deadline timer; /* curl's */
    struct list sockets;   /* that curl wants to be told about */
    struct list transfers;
    struct slots slots; /* of transfers */
    int held;           /* transfers that are paused */
};

/* The transfer has ended in curl; called outside of curl's callbacks. */
void http_transfer_done(struct http_transfer *transfer, CURLcode code);
struct http_transfer *http_transfer_of(struct list *link); /* in client->transfers */
bool http_transfer_is_held(const struct http_transfer *transfer);
curl_socket_t http_transfer_socket(const struct http_transfer *transfer); /* or CURL_SOCKET_BAD */
void http_transfer_set_socket(struct http_transfer *transfer, curl_socket_t fd);
void http_client_watch_all(struct http_client *client); /* a transfer is not held any more */

#endif
