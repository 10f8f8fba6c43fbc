/* What the client asks of its transfers. Private to core/client. */
#ifndef CLIENT_HTTP_TRANSFER_STATE_H
#define CLIENT_HTTP_TRANSFER_STATE_H

#include "client/http_transfer.h"

#include <curl/curl.h>

/* The transfer has ended in curl; called outside of curl's callbacks. */
void http_transfer_done(struct http_transfer *transfer, CURLcode code);
struct http_transfer *http_transfer_of(struct list *link); /* in client->transfers */
bool http_transfer_is_held(const struct http_transfer *transfer);
curl_socket_t http_transfer_socket(const struct http_transfer *transfer); /* or CURL_SOCKET_BAD */
void http_transfer_set_socket(struct http_transfer *transfer, curl_socket_t fd);

#endif
