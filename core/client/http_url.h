/* URLs as curl reads them, so that what is checked is what is asked. */
#ifndef CLIENT_HTTP_URL_H
#define CLIENT_HTTP_URL_H

#include <stdbool.h>

/* "invalid url", "unsupported protocol"; NULL: fine. */
const char *http_url_problem(const char *text);
/* What `reference`, as in a Location header, means at `base`. To be freed with curl_free through
 * http_url_free; NULL: not a URL. */
char *http_url_join(const char *base, const char *reference);
void http_url_free(char *url);
/* Scheme, host and port are equal: credentials may go along. */
bool http_url_is_same_origin(const char *a, const char *b);

#endif
