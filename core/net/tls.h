/* TLS for one connection, as a filter: bytes of the network go in, bytes for the network come out.
 * It does no I/O; its owner moves the bytes. The client's side. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/bytes.h"

#include <openssl/ssl.h>
#include <stddef.h>

struct tls;

enum tls_state {
    TLS_SHAKING,
    TLS_OPEN,
    TLS_ENDED,  /* the peer has said that it sends no more */
    TLS_FAILED, /* tls_error tells */
};

/* `name` is the peer's, which its certificate must be for. `alpn` are protocols as in RFC 7301,
 * each behind its length. The greeting is waiting to be sent. NULL: not enough memory. */
struct tls *tls_new(SSL_CTX *config, const char *name, const unsigned char *alpn, size_t alpn_len);
void tls_free(struct tls *tls);
enum tls_state tls_state(const struct tls *tls);
/* What was received; what it says is appended to `plain`. */
enum tls_state tls_receive(struct tls *tls, const void *data, size_t len, struct bytes *plain);
/* While TLS_OPEN or TLS_ENDED; it may be TLS_FAILED after that. */
void tls_send(struct tls *tls, const void *data, size_t len);
void tls_end(struct tls *tls); /* says that we send no more */
/* Bytes for the network, until tls_output_taken or the next call. */
const char *tls_output(struct tls *tls, size_t *len);
void tls_output_taken(struct tls *tls);
const char *tls_error(const struct tls *tls); /* "tls: self-signed certificate", ... */
const char *tls_protocol(const struct tls *tls, size_t *len); /* agreed on by ALPN, or NULL */

#endif
