/* OpenSSL between two memory BIOs: see tls.h. */
#include "net/tls.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>

#define RECORD_MAX 16384 /* plain bytes in one record */

struct tls {
    SSL *ssl;
    BIO *in; /* the SSL's, as the next */
    BIO *out;
    enum tls_state state;
    char error[160];
};

static bool is_address(const char *name)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/* An address is looked for in the certificate, but never told: the extension is for names. */
static bool set_name(SSL *ssl, const char *name)
{
    if (is_address(name))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, name) == 1 && SSL_set1_host(ssl, name) == 1;
}

/* ---- what OpenSSL answers ---- */

static void tls_fail(struct tls *tls)
{
    long verdict = SSL_get_verify_result(tls->ssl);
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    if (tls->state == TLS_SHAKING && verdict != X509_V_OK && SSL_get_verify_mode(tls->ssl) != 0)
        reason = X509_verify_cert_error_string(verdict);
    snprintf(tls->error, sizeof(tls->error), "tls: %s", reason ? reason : "protocol error");
    tls->state = TLS_FAILED;
    ERR_clear_error();
}

/* `result` of a call that did not succeed: fatal, or merely in need of more. */
static void consider(struct tls *tls, int result)
{
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: break;
    case SSL_ERROR_ZERO_RETURN: tls->state = TLS_ENDED; break;
    default: tls_fail(tls);
    }
}

static void shake(struct tls *tls)
{
    ERR_clear_error();
    int result = SSL_do_handshake(tls->ssl);
    if (result == 1)
        tls->state = TLS_OPEN;
    else
        consider(tls, result);
}

static void decrypt(struct tls *tls, struct bytes *plain)
{
    int len;
    ERR_clear_error();
    do {
        bytes_reserve(plain, RECORD_MAX);
        len = SSL_read(tls->ssl, plain->data + plain->len, RECORD_MAX);
        if (len > 0)
            plain->len += (size_t)len;
    } while (len > 0);
    consider(tls, len);
}

/* ---- use ---- */

struct tls *tls_new(SSL_CTX *config, const char *name, const unsigned char *alpn, size_t alpn_len)
{
    struct tls *tls = mem_calloc(sizeof(*tls));
    tls->ssl = SSL_new(config);
    tls->in = BIO_new(BIO_s_mem());
    tls->out = BIO_new(BIO_s_mem());
    if (!tls->ssl || !tls->in || !tls->out)
        goto fail;
    SSL_set_bio(tls->ssl, tls->in, tls->out); /* now they are the SSL's */
    SSL_set_connect_state(tls->ssl);
    if (!set_name(tls->ssl, name) ||
        (alpn_len > 0 && SSL_set_alpn_protos(tls->ssl, alpn, (unsigned)alpn_len) != 0)) {
        tls_free(tls);
        return NULL;
    }
    shake(tls);
    if (tls->state != TLS_FAILED) /* nobody would hear of it: the peer has nothing to answer */
        return tls;
    tls_free(tls);
    return NULL;

fail:
    BIO_free(tls->in);
    BIO_free(tls->out);
    SSL_free(tls->ssl);
    mem_free(tls);
    return NULL;
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    SSL_free(tls->ssl);
    mem_free(tls);
}

enum tls_state tls_state(const struct tls *tls)
{
    return tls->state;
}

enum tls_state tls_receive(struct tls *tls, const void *data, size_t len, struct bytes *plain)
{
    ERR_clear_error();
    if (len > 0 && BIO_write(tls->in, data, (int)len) != (int)len) /* one read of the loop fits */
        tls_fail(tls);
    if (tls->state == TLS_SHAKING)
        shake(tls);
    if (tls->state == TLS_OPEN)
        decrypt(tls, plain);
    return tls->state;
}

void tls_send(struct tls *tls, const void *data, size_t len)
{
    size_t written;
    ERR_clear_error();
    if (len > 0 && (tls->state == TLS_OPEN || tls->state == TLS_ENDED) &&
        SSL_write_ex(tls->ssl, data, len, &written) != 1) /* memory takes all of it */
        consider(tls, 0);
}

void tls_end(struct tls *tls)
{
    ERR_clear_error();
    if (tls->state == TLS_OPEN || tls->state == TLS_ENDED)
        SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

const char *tls_output(struct tls *tls, size_t *len)
{
    char *data = NULL;
    long waiting = BIO_get_mem_data(tls->out, &data);
    *len = waiting > 0 ? (size_t)waiting : 0;
    return data;
}

void tls_output_taken(struct tls *tls)
{
    (void)BIO_reset(tls->out);
}

const char *tls_error(const struct tls *tls)
{
    return tls->error;
}

const char *tls_protocol(const struct tls *tls, size_t *len)
{
    const unsigned char *name = NULL;
    unsigned name_len = 0;
    SSL_get0_alpn_selected(tls->ssl, &name, &name_len);
    *len = name_len;
    return (const char *)name;
}
