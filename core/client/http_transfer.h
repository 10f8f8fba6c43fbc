/* One request to another server and its answer. It belongs to whoever started it until
 * http_transfer_free; its client ends with it at the latest. */
#ifndef CLIENT_HTTP_TRANSFER_H
#define CLIENT_HTTP_TRANSFER_H

#include "base/bytes.h"
#include "client/http_client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_HIGH_WATER 65536 /* waiting bytes above which the sender has to pause */

enum http_phase {
    HTTP_WAITING,   /* for the head of the answer */
    HTTP_RECEIVING, /* the head is complete */
    HTTP_ENDED,     /* well or not: http_transfer_error tells */
};

struct http_options {
    const char *method;
    const char *url;
    const char *const *headers; /* "Name: value", ended by NULL */
    const char *body;           /* NULL: none, or it is streamed */
    size_t body_len;
    bool has_upload;   /* the body comes by http_transfer_send */
    bool is_streamed;  /* the answer is taken piece by piece; else it is kept whole */
    uint64_t total_ms; /* of a streamed answer: until its head is there */
    uint64_t connect_ms;
    size_t limit;       /* bytes of the answer's body */
    bool is_unverified; /* the server's certificate is not looked at */
    const char *ca;     /* a file or PEM text, NULL: the system's; and so the next two */
    const char *cert;
    const char *key;
};

/* The options are copied. NULL: `error` says why not. */
struct http_transfer *http_transfer_start(struct http_client *client,
                                          const struct http_options *options, const char **error);
/* Whom to tell, once, of the next change: a new phase, bytes to take, room for more to send. NULL:
 * nobody. `on_change` comes from the loop or from inside http_transfer_take, _send and _fail; it
 * must call none of these. */
void http_transfer_watch(struct http_transfer *transfer, void (*on_change)(void *owner),
                         void *owner);
void *http_transfer_owner(const struct http_transfer *transfer); /* who is to be told, or NULL */
slot_handle http_transfer_handle(const struct http_transfer *transfer);
enum http_phase http_transfer_phase(const struct http_transfer *transfer);
int http_transfer_status(const struct http_transfer *transfer);
const struct bytes *http_transfer_head(const struct http_transfer *transfer); /* header lines */
/* Received and not yet taken. */
const struct bytes *http_transfer_body(const struct http_transfer *transfer);
void http_transfer_take(struct http_transfer *transfer, size_t len);
void http_transfer_send(struct http_transfer *transfer, const void *data, size_t len);
size_t http_transfer_unsent(const struct http_transfer *transfer);
void http_transfer_end_upload(struct http_transfer *transfer);
/* "timeout", "tls: ...", and what curl says to it; NULL: no error. Texts of the transfer. */
const char *http_transfer_error(const struct http_transfer *transfer);
const char *http_transfer_detail(const struct http_transfer *transfer);
void http_transfer_fail(struct http_transfer *transfer, const char *error); /* a constant */
void http_transfer_free(struct http_transfer *transfer); /* ends it, if it has not */

#endif
