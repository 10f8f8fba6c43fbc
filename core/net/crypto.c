/* See crypto.h. Everything that requests use of OpenSSL is used here once. */
#include "net/crypto.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>

static bool has_digests(void)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    return EVP_Digest("", 0, digest, &len, EVP_sha1(), NULL) &&
           EVP_Digest("", 0, digest, &len, EVP_sha256(), NULL) &&
           HMAC(EVP_sha256(), "k", 1, (const unsigned char *)"", 0, digest, &len) != NULL;
}

int crypto_begin(void)
{
    unsigned char byte;
    if (OPENSSL_init_ssl(0, NULL) && RAND_bytes(&byte, 1) == 1 && has_digests())
        return 0;
    char why[256];
    ERR_error_string_n(ERR_get_error(), why, sizeof why);
    fprintf(stderr, "neap: cannot start OpenSSL: %s\n", why);
    return -1;
}

void crypto_begin_thread(void)
{
    unsigned char bytes[2];
    RAND_bytes(bytes, 1); /* each thread has generators of its own, for TLS */
    RAND_priv_bytes(bytes + 1, 1);
    ERR_clear_error();
    has_digests();
}
