/* Sets one curl handle up for one request. Redirects are followed in Lua, which knows which headers
 * may go to another host; so curl sends what it is told and returns what comes. */
#if NEAP_HAS_CURL
#include "client/http_setup.h"

#include "net/trust.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define DECODED "gzip, deflate" /* the size of what they inflate to is bounded: see `limit` */
#define READ_SIZE 16384L /* may inflate to 16 MB, which curl keeps while a transfer is paused */
#define TEXT_OF(macro) TEXT(macro)
#define TEXT(token) #token
#define OPENSSL_MAJOR TEXT_OF(OPENSSL_VERSION_MAJOR)

static bool has_header(const char *const *headers, const char *name)
{
    size_t len = strlen(name);
    for (; *headers; headers++)
        if (strncasecmp(*headers, name, len) == 0 && (*headers)[len] == ':')
            return true;
    return false;
}

static int add_header(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (!longer)
        return -ENOMEM;
    *list = longer;
    return 0;
}

/* Those of the caller, and the ones that curl would add by itself taken away. */
static int set_headers(CURL *easy, const struct http_options *options, struct curl_slist **list)
{
    int err = add_header(list, "Expect:"); /* waiting for "100 Continue" costs a second too often */
    if (err == 0 && !has_header(options->headers, "Content-Type"))
        err = add_header(list, "Content-Type:"); /* a guess would be a form */
    for (const char *const *line = options->headers; err == 0 && *line; line++)
        err = add_header(list, *line);
    if (!has_header(options->headers, "Accept-Encoding"))
        curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, DECODED);
    if (!has_header(options->headers, "User-Agent"))
        curl_easy_setopt(easy, CURLOPT_USERAGENT, "neap/" NEAP_VERSION);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, *list);
    return err;
}

static void set_method(CURL *easy, const struct http_options *options)
{
    const char *method = options->method;
    if (options->has_upload) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        /* It cannot be sent a second time, as after a kept connection broke. */
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    } else if (options->body || strcmp(method, "POST") == 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)options->body_len);
        curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, options->body ? options->body : "");
    } else if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
}

static void set_pem(CURL *easy, const char *pem, CURLoption file, CURLoption blob)
{
    if (pem && strstr(pem, "-----BEGIN")) {
        struct curl_blob text = {(void *)(uintptr_t)pem, strlen(pem), CURL_BLOB_COPY};
        curl_easy_setopt(easy, blob, &text);
    } else if (pem) {
        curl_easy_setopt(easy, file, pem);
    }
}

/* ---- whom to trust ---- */

/* Another library, or another OpenSSL than ours, could not take our store. */
bool http_setup_shares_trust(void)
{
    const curl_version_info_data *built = curl_version_info(CURLVERSION_NOW);
    const char *ours = "OpenSSL/" OPENSSL_MAJOR ".";
    return built->ssl_version && strncmp(built->ssl_version, ours, strlen(ours)) == 0;
}

static CURLcode share_trust(CURL *easy, void *config, void *arg)
{
    (void)easy;
    (void)arg;
    trust_share(config);
    return CURLE_OK;
}

/* With a folder of certificates besides, as Debian has it, curl would read the bundle again for
 * each connection (20 ms here); alone it is read once. */
static void set_bundle_alone(CURL *easy)
{
    const curl_version_info_data *built = curl_version_info(CURLVERSION_NOW);
    if (built->cainfo)
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
}

static void set_trust(CURL *easy, const struct http_options *options)
{
    if (options->ca || !http_setup_shares_trust()) {
        set_bundle_alone(easy);
        set_pem(easy, options->ca, CURLOPT_CAINFO, CURLOPT_CAINFO_BLOB);
        return;
    }
    curl_easy_setopt(easy, CURLOPT_CAINFO, NULL); /* so that curl reads none */
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L); /* nor keeps ours for a day */
    if (!options->is_unverified)
        curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, share_trust);
}

static void set_tls(CURL *easy, const struct http_options *options)
{
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, options->is_unverified ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, options->is_unverified ? 0L : 2L);
    set_trust(easy, options);
    set_pem(easy, options->cert, CURLOPT_SSLCERT, CURLOPT_SSLCERT_BLOB);
    set_pem(easy, options->key, CURLOPT_SSLKEY, CURLOPT_SSLKEY_BLOB);
}

/* ---- the rest ---- */

/* By itself curl would let programs that we start inherit it. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)arg;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* QUICK_EXIT: a transfer that is ended while its name is looked up does not wait for that
 * thread. */
static void set_manners(CURL *easy, const struct http_options *options)
{
    curl_easy_setopt(easy, CURLOPT_URL, options->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_ms);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, READ_SIZE);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
}

int http_setup(CURL *easy, const struct http_options *options, struct curl_slist **headers)
{
    set_manners(easy, options);
    set_tls(easy, options);
    set_method(easy, options);
    int err = set_headers(easy, options, headers);
    if (err) {
        curl_slist_free_all(*headers);
        *headers = NULL;
    }
    return err;
}
#endif
