/* Makes OpenSSL's SSL_CTX: TLS 1.2 and newer, no compression, no renegotiation. */
#include "net/tls_config.h"

#include "net/trust.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

static bool is_pem(const char *text)
{
    return strstr(text, "-----BEGIN") != NULL;
}

static BIO *open_text(const char *file_or_pem)
{
    return is_pem(file_or_pem) ? BIO_new_mem_buf(file_or_pem, -1) : BIO_new_file(file_or_pem, "r");
}

/* Every certificate of the text. */
static bool trust_all(SSL_CTX *ctx, const char *ca)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    BIO *text = open_text(ca);
    int count = 0;
    X509 *cert;
    while (text && (cert = PEM_read_bio_X509_AUX(text, NULL, NULL, NULL)) != NULL) {
        count += X509_STORE_add_cert(store, cert);
        X509_free(cert);
    }
    BIO_free(text);
    ERR_clear_error(); /* the end of the text is one */
    return count > 0;
}

static bool use_cert(SSL_CTX *ctx, const char *own)
{
    BIO *text = open_text(own);
    X509 *cert = text ? PEM_read_bio_X509_AUX(text, NULL, NULL, NULL) : NULL;
    bool is_used = cert && SSL_CTX_use_certificate(ctx, cert) == 1;
    X509_free(cert);
    while (is_used && (cert = PEM_read_bio_X509(text, NULL, NULL, NULL)) != NULL) {
        if (SSL_CTX_add0_chain_cert(ctx, cert) != 1)
            X509_free(cert);
    }
    BIO_free(text);
    ERR_clear_error();
    return is_used;
}

static bool use_key(SSL_CTX *ctx, const char *own)
{
    BIO *text = open_text(own);
    EVP_PKEY *key = text ? PEM_read_bio_PrivateKey(text, NULL, NULL, NULL) : NULL;
    bool is_used =
        key && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    BIO_free(text);
    ERR_clear_error();
    return is_used;
}

static void set_rules(SSL_CTX *ctx, bool is_unverified)
{
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(ctx, is_unverified ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
}

/* What does not work of the options, NULL: all does. */
static const char *load(SSL_CTX *ctx, const struct tls_options *options)
{
    const char *key = options->key ? options->key : options->cert;
    if (!options->ca && !options->is_unverified && !trust_share(ctx))
        return "the system's certificates";
    if (options->ca && !trust_all(ctx, options->ca))
        return "ca";
    if (options->cert && !use_cert(ctx, options->cert))
        return "cert";
    if (key && !use_key(ctx, key))
        return "key";
    return NULL;
}

SSL_CTX *tls_config_new(const struct tls_options *options, char *error, size_t size)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx) {
        snprintf(error, size, "tls: not enough memory");
        return NULL;
    }
    set_rules(ctx, options->is_unverified);
    const char *bad = load(ctx, options);
    if (!bad)
        return ctx;
    snprintf(error, size, "tls: cannot use %s: no such file, or nothing usable in it", bad);
    SSL_CTX_free(ctx);
    return NULL;
}
