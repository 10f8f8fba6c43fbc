/* The options of a transfer, in curl's terms. */
#ifndef CLIENT_HTTP_SETUP_H
#define CLIENT_HTTP_SETUP_H

#include "client/http_transfer.h"

#include <curl/curl.h>

/* The list of headers must live as long as the transfer; NULL with -ENOMEM: none. */
int http_setup(CURL *easy, const struct http_options *options, struct curl_slist **headers);

#endif
