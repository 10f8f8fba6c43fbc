/* The options of a transfer, in curl's terms. */
#ifndef CLIENT_HTTP_SETUP_H
#define CLIENT_HTTP_SETUP_H

#include "client/http_transfer.h"

#include <curl/curl.h>
#include <stdbool.h>

/* The list of headers must live as long as the transfer; NULL with -ENOMEM: none. */
int http_setup(CURL *easy, const struct http_options *options, struct curl_slist **headers);

/* Whether the certificates of the system are those of net/trust.h, to be read before the start of a
 * request to https; else curl reads some itself. */
bool http_setup_shares_trust(void);

#endif
