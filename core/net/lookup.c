/* Looking up names: see lookup.h. Each is an object of its own, because getaddrinfo ends when it
 * ends. */
#include "net/lookup.h"

#include "base/mem.h"
#include "net/threads.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define HOST_MAX 253 /* longest name in the DNS */

struct lookup {
    struct thread_job job;
    struct loop_message done;
    struct loop *loop;
    lookup_fn fn; /* NULL: nobody waits any more */
    void *arg;
    int err;
    struct addrinfo *found;
    char service[8];
    char host[];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static unsigned thread_most = 4;
static struct threads *threads; /* of the process, for good */

void lookup_set_threads(unsigned most)
{
    thread_most = most;
}

static void make_threads(void)
{
    threads = threads_new(thread_most);
}

/* As libuv names them, for which the rest of net/ has texts. */
static int translate(int err)
{
    switch (err) {
    case 0: return 0;
    case EAI_AGAIN: return UV_EAI_AGAIN;
    case EAI_BADFLAGS: return UV_EAI_BADFLAGS;
    case EAI_FAIL: return UV_EAI_FAIL;
    case EAI_FAMILY: return UV_EAI_FAMILY;
    case EAI_MEMORY: return UV_EAI_MEMORY;
    case EAI_NODATA: return UV_EAI_NODATA;
    case EAI_OVERFLOW: return UV_EAI_OVERFLOW;
    case EAI_SERVICE: return UV_EAI_SERVICE;
    case EAI_SYSTEM: return errno ? -errno : UV_EAI_FAIL;
    default: return UV_EAI_NONAME;
    }
}

static bool is_ascii(const char *text)
{
    while (*text && !(*text & 0x80))
        text++;
    return *text == '\0';
}

/* On a thread. */
static void lookup_run(struct thread_job *job)
{
    struct lookup *lookup = container_of(job, struct lookup, job);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    if (!is_ascii(lookup->host))
        hints.ai_flags |= AI_IDN;
    errno = 0;
    lookup->err = translate(getaddrinfo(lookup->host, lookup->service, &hints, &lookup->found));
    loop_post(lookup->loop, &lookup->done); /* lookup can be gone after this */
}

static void lookup_on_done(struct loop *loop, struct loop_message *message)
{
    struct lookup *lookup = container_of(message, struct lookup, done);
    lookup_fn fn = lookup->fn;
    void *arg = lookup->arg;
    int err = lookup->err;
    struct addrinfo *found = err ? NULL : lookup->found;
    mem_free(lookup);
    loop->works--;
    if (fn)
        fn(arg, err, found);
    else if (found)
        freeaddrinfo(found);
}

int lookup_start(struct lookup **lookup, struct loop *loop, const char *host, uint16_t port,
                 lookup_fn fn, void *arg)
{
    size_t len = strlen(host);
    *lookup = NULL;
    if (len > HOST_MAX)
        return UV_ENAMETOOLONG;
    pthread_once(&once, make_threads);
    struct lookup *made = mem_calloc(sizeof(*made) + len + 1);
    *made = (struct lookup){
        .job.run = lookup_run, .done.run = lookup_on_done, .loop = loop, .fn = fn, .arg = arg};
    list_init(&made->job.link);
    memcpy(made->host, host, len);
    snprintf(made->service, sizeof(made->service), "%u", (unsigned)port);
    int err = threads_add(threads, &made->job);
    if (err) {
        mem_free(made);
        return err;
    }
    loop->works++;
    *lookup = made;
    return 0;
}

void lookup_abandon(struct lookup *lookup)
{
    lookup->fn = NULL;
    if (!threads_remove(threads, &lookup->job))
        return; /* a thread has it */
    lookup->loop->works--;
    mem_free(lookup);
}
