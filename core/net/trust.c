/* The system's certificates: see trust.h. OpenSSL's store is counted and has a lock of its own, so
 * all connections of all workers share one. */
#include "net/trust.h"

#include "base/log.h"

#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUNDLE "/etc/ssl/certs/ca-certificates.crt" /* where OpenSSL's own name leads nowhere */

static pthread_mutex_t reading = PTHREAD_MUTEX_INITIALIZER; /* held while they are read */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;    /* of the next three, held briefly */
static X509_STORE *store;                                   /* NULL: never read */
static struct timespec modified;                            /* their file, when it was read */
static unsigned version;

/* ---- where they are ---- */

static const char *setting(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static const char *bundle_path(void)
{
    const char *path = setting(X509_get_default_cert_file_env());
    if (path != NULL)
        return path;
    path = X509_get_default_cert_file();
    return access(path, R_OK) == 0 ? path : BUNDLE;
}

/* When there is none at this moment, because it is being replaced, it counts as unchanged. */
static bool has_changed(void)
{
    struct stat info;
    return stat(bundle_path(), &info) == 0 &&
           (info.st_mtim.tv_sec != modified.tv_sec || info.st_mtim.tv_nsec != modified.tv_nsec);
}

bool trust_is_ready(void)
{
    pthread_mutex_lock(&lock);
    bool is_ready = store != NULL && !has_changed();
    pthread_mutex_unlock(&lock);
    return is_ready;
}

/* ---- reading ---- */

/* NULL: there is nothing usable. A folder's files are read one by one, when somebody needs them.
 * PARTIAL_CHAIN: whoever is in it needs nobody above. curl sets both flags on the store of any
 * connection: here they are set before it is shared. */
static X509_STORE *store_read(void)
{
    const char *folder = setting(X509_get_default_cert_dir_env());
    bool needs_bundle = folder == NULL || setting(X509_get_default_cert_file_env()) != NULL;
    X509_STORE *made = X509_STORE_new();
    if (made == NULL)
        return NULL;
    X509_STORE_set_flags(made, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
    bool has_bundle = X509_STORE_load_file(made, bundle_path()) == 1;
    X509_STORE_load_path(made, folder != NULL ? folder : X509_get_default_cert_dir());
    ERR_clear_error();
    if (has_bundle || !needs_bundle)
        return made;
    X509_STORE_free(made);
    return NULL;
}

/* Without new ones the old ones stay. */
static void trust_keep(X509_STORE *made, const struct stat *info)
{
    pthread_mutex_lock(&lock);
    modified = info->st_mtim;
    if (made != NULL) {
        X509_STORE_free(store); /* connections have references of their own */
        store = made;
        version++;
    } else if (store != NULL) {
        log_warn("tls: %s has changed and is of no use now; trusting those that were in it",
                 bundle_path());
    }
    pthread_mutex_unlock(&lock);
}

bool trust_read(char *error, size_t size)
{
    struct stat info = {0};
    pthread_mutex_lock(&reading);
    if (!trust_is_ready()) {
        SSL_CTX_free(SSL_CTX_new(TLS_client_method())); /* the first one takes long, too */
        stat(bundle_path(), &info); /* before it is read: a change in between is seen next time */
        trust_keep(store_read(), &info);
    }
    bool is_there = store != NULL;
    pthread_mutex_unlock(&reading);
    if (!is_there)
        snprintf(error, size,
                 "tls: no usable certificates in %s: install ca-certificates (Debian's name), or "
                 "name others by SSL_CERT_FILE or the option ca",
                 bundle_path());
    return is_there;
}

/* ---- using ---- */

unsigned trust_version(void)
{
    pthread_mutex_lock(&lock);
    unsigned current = version;
    pthread_mutex_unlock(&lock);
    return current;
}

bool trust_share(SSL_CTX *ctx)
{
    pthread_mutex_lock(&lock);
    bool is_there = store != NULL;
    if (is_there)
        SSL_CTX_set1_cert_store(ctx, store);
    pthread_mutex_unlock(&lock);
    return is_there;
}
