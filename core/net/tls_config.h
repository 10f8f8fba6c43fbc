/* Whom to trust and who to be: the rules that many TLS connections share. A connection keeps what
 * it needs of them, so they may be freed before it. */
#ifndef NET_TLS_CONFIG_H
#define NET_TLS_CONFIG_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

struct tls_options {
    bool is_unverified; /* the peer's certificate is not looked at */
    /* A file or PEM text; NULL: the system's, which have been read (trust.h). And so: */
    const char *ca;
    const char *cert; /* our own certificate and the chain above it; NULL: none */
    const char *key;  /* NULL: it is in `cert` */
};

/* For clients. NULL: `error` says why not. To be freed by SSL_CTX_free. */
SSL_CTX *tls_config_new(const struct tls_options *options, char *error, size_t size);

#endif
