/* Names of curl's errors, the same words as neap.net's where they mean the same. */
#if NEAP_HAS_CURL
#include "client/http_error.h"

#include "net/net.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

static const char *without(const char *prefix, const char *text)
{
    size_t len = strlen(prefix);
    return strncmp(text, prefix, len) == 0 ? text + len : text;
}

static const char *tls_reason(CURLcode code, const char *detail)
{
    if (detail[0] == '\0')
        return curl_easy_strerror(code);
    return without("SSL: ", without("SSL certificate problem: ", detail));
}

static const char *plain_reason(CURLcode code, int os_error)
{
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT: return "timeout";
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return "unknown host";
    case CURLE_COULDNT_CONNECT: return os_error ? net_error(-os_error) : "connection refused";
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR: return "connection broken";
    case CURLE_PARTIAL_FILE: return "truncated";
    case CURLE_WRITE_ERROR:   /* what a paused answer inflates to is more than curl keeps */
    case CURLE_OUT_OF_MEMORY: /* of a line that is too long, before curl 8.6 */
#if LIBCURL_VERSION_NUM >= 0x080600
    case CURLE_TOO_LARGE:
#endif
        return "too_large";
    case CURLE_UNSUPPORTED_PROTOCOL: /* it looks like HTTP/0.9 */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return "invalid answer";
    default: return "failed";
    }
}

void http_error_text(char *text, size_t size, int code, int os_error, const char *detail)
{
    switch (code) {
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CLIENTCERT:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
        snprintf(text, size, "tls: %s", tls_reason((CURLcode)code, detail));
        break;
    default: snprintf(text, size, "%s", plain_reason((CURLcode)code, os_error));
    }
}
#endif
