/* The handshake of a WebSocket (RFC 6455, section 4): what the client asks for, and the 101. */
#include "base/base64.h"
#include "base/text.h"
#include "http/http_server.h"
#include "http/response.h"
#include "ws/ws_deflate.h"
#include "ws/ws_state.h"

#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

#define KEY_LENGTH 24 /* 16 bytes in base64 */
#define DIGEST_SIZE 20
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/* ---- header lines ---- */

/* Whether `token` is in the list that all lines of that name make together, without case. */
static bool lists(const struct request *rq, const char *name, const char *token)
{
    const char *value;
    size_t len;
    int at = 0;
    while ((value = request_header_next(rq, &at, name, strlen(name), &len)))
        if (text_list_has(value, len, token))
            return true;
    return false;
}

/* The value of a header that may be there only once; NULL: it is not there, or twice. */
static const char *only(const struct request *rq, const char *name, size_t *len)
{
    size_t other;
    int at = 0;
    const char *value = request_header_next(rq, &at, name, strlen(name), len);
    return value && !request_header_next(rq, &at, name, strlen(name), &other) ? value : NULL;
}

bool ws_offers_protocol(const struct request *rq, const char *protocol, size_t len)
{
    const char *value;
    size_t value_len;
    int at = 0;
    while ((value = request_header_next(rq, &at, "sec-websocket-protocol", 22, &value_len))) {
        const char *end = value + value_len;
        while (value < end) {
            while (value < end && (*value == ' ' || *value == '\t' || *value == ','))
                value++;
            const char *word = value;
            while (value < end && *value != ' ' && *value != '\t' && *value != ',')
                value++;
            if ((size_t)(value - word) == len && len > 0 && memcmp(word, protocol, len) == 0)
                return true;
        }
    }
    return false;
}

/* ---- the origin ---- */

struct authority {
    const char *host;
    size_t host_len;
    uint64_t port;
};

/* "example.org:8080", "[::1]". False: anything that does not look like one. */
static bool authority_parse(struct authority *authority, const char *text, size_t len, int port)
{
    for (size_t i = 0; i < len; i++)
        if (strchr("/?#@\\ ,", text[i]))
            return false;
    const char *colon = memrchr(text, ':', len);
    if (colon && memchr(colon, ']', (size_t)(text + len - colon)))
        colon = NULL; /* inside of an IPv6 address */
    *authority = (struct authority){text, colon ? (size_t)(colon - text) : len, (uint64_t)port};
    if (authority->host_len == 0)
        return false;
    if (!colon || colon + 1 == text + len)
        return true;
    return text_parse_uint(colon + 1, (size_t)(text + len - colon - 1), &authority->port) == 0;
}

static bool starts_with(const char *text, size_t len, const char *start)
{
    size_t start_len = strlen(start);
    return len >= start_len && text_equal_nocase(text, start_len, start, start_len);
}

/* Behind a proxy that does TLS we do not see the scheme, so the Origin's own decides what port a
 * Host without one means. */
static bool is_same_origin(const struct request *rq, const char *origin, size_t len)
{
    bool is_https = starts_with(origin, len, "https://");
    if (!is_https && !starts_with(origin, len, "http://"))
        return false;
    size_t skip = is_https ? 8 : 7;
    int port = is_https ? 443 : 80;
    struct authority theirs;
    struct authority ours;
    return authority_parse(&theirs, origin + skip, len - skip, port) &&
           authority_parse(&ours, request_at(rq, rq->host), rq->host.len, port) &&
           theirs.port == ours.port &&
           text_equal_nocase(theirs.host, theirs.host_len, ours.host, ours.host_len);
}

/* ---- the request ---- */

static bool has_body(const struct request *rq)
{
    return rq->stage != REQUEST_WHOLE || rq->is_chunked || rq->length > 0;
}

static bool has_key(const struct request *rq)
{
    char key[base64_decoded_max(KEY_LENGTH)];
    size_t len;
    const char *value = only(rq, "sec-websocket-key", &len);
    return value && len == KEY_LENGTH && base64_decode(key, value, len, false) == 16;
}

static int refusal(const struct request *rq)
{
    size_t len;
    if (rq->parser.method != HTTP_GET)
        return 405;
    if (rq->is_http10 || has_body(rq))
        return 400;
    if (!lists(rq, "upgrade", "websocket"))
        return 426;
    if (!lists(rq, "connection", "upgrade"))
        return 400;
    const char *version = only(rq, "sec-websocket-version", &len);
    if (version && !text_equal_nocase(version, len, "13", 2))
        return 426;
    return version && has_key(rq) ? 0 : 400;
}

void ws_offer_read(const struct request *rq, struct ws_offer *offer)
{
    size_t len;
    int window_bits;
    const char *origin = only(rq, "origin", &len);
    *offer = (struct ws_offer){.refusal = refusal(rq)};
    offer->is_valid = offer->refusal == 0;
    offer->has_origin = request_header(rq, "origin", 6, &len) != NULL;
    offer->is_same_origin = origin && is_same_origin(rq, origin, len);
    offer->can_deflate = ws_deflate_is_offered(rq, &window_bits);
}

/* ---- the answer ---- */

/* False: OpenSSL found no memory. */
static bool append_accept(struct bytes *head, const struct request *rq)
{
    unsigned char digest[DIGEST_SIZE];
    char seed[KEY_LENGTH + sizeof(GUID)];
    char accept[base64_encoded_max(DIGEST_SIZE)];
    size_t len;
    const char *key = request_header(rq, "sec-websocket-key", 17, &len);
    assert(key && len == KEY_LENGTH && "ws_offer_read said that it is valid");
    memcpy(seed, key, KEY_LENGTH);
    memcpy(seed + KEY_LENGTH, GUID, sizeof(GUID));
    if (!EVP_Digest(seed, KEY_LENGTH + sizeof(GUID) - 1, digest, NULL, EVP_sha1(), NULL))
        return false;
    len = base64_encode(accept, digest, sizeof(digest), false);
    bytes_printf(head, "Sec-WebSocket-Accept: %.*s\r\n", (int)len, accept);
    return true;
}

int ws_shake_hands(struct request *rq, const char *protocol, bool deflate)
{
    struct bytes *head = &rq->server->head;
    int asked_bits = 0;
    deflate = deflate && ws_deflate_is_offered(rq, &asked_bits);
    if (!append_accept(head, rq))
        return -1;
    if (protocol)
        bytes_printf(head, "Sec-WebSocket-Protocol: %s\r\n", protocol);
    if (deflate)
        bytes_append_text(head, "Sec-WebSocket-Extensions: permessage-deflate; "
                                "server_no_context_takeover; client_no_context_takeover");
    if (asked_bits)
        bytes_printf(head, "; server_max_window_bits=%d", asked_bits);
    if (deflate)
        bytes_append_text(head, "\r\n");
    response_switch(rq, "websocket");
    if (!deflate)
        return 0;
    return asked_bits ? asked_bits : WS_WINDOW_BITS_MAX;
}
