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

void http_client_watch_all(struct http_client *client); /* a transfer is not held any more */

#endif
