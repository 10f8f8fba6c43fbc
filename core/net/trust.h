/* The certificates that the system trusts, read once for the whole process: that takes 20 ms, too
 * long for a loop. They are the file SSL_CERT_FILE, or else the system's bundle, and for what is
 * not in there the folder SSL_CERT_DIR, or else OpenSSL's own. Any thread may call. */
#ifndef NET_TRUST_H
#define NET_TRUST_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether they have been read, and their file is as it was then. */
bool trust_is_ready(void);
/* Reads them unless they are ready: for a thread that may block. False: `error` says why not. */
bool trust_read(char *error, size_t size);
unsigned trust_version(void);   /* how often they have been read */
bool trust_share(SSL_CTX *ctx); /* makes it trust them; false: they were never read */

#endif
