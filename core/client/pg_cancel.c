/* A cancel request is a connection of its own, which libpq makes while the caller waits: work for
 * the thread pool. Its `tcp_user_timeout` (pg_address.c) limits the time. */
#include "base/list.h"
#include "base/mem.h"
#include "client/pg_client.h"
#include "client/pg_client_state.h"
#include "client/pg_result.h"
#include "net/work.h"

#ifdef NEAP_HAS_PQ

#include <libpq-fe.h>

struct pg_cancel {
    struct work work;
    PGcancel *request;
    pg_cancel_fn on_done;
    void *owner; /* NULL: nobody waits any more */
    bool is_sent;
};

static void pg_cancel_run(struct work *work)
{
    struct pg_cancel *cancel = container_of(work, struct pg_cancel, work);
    char error[256];
    cancel->is_sent = PQcancel(cancel->request, error, sizeof(error)) == 1;
}

static void pg_cancel_on_done(struct work *work, int err)
{
    struct pg_cancel *cancel = container_of(work, struct pg_cancel, work);
    (void)err;
    if (cancel->owner)
        cancel->on_done(cancel->owner, cancel->is_sent);
    PQfreeCancel(cancel->request);
    mem_free(cancel);
}

struct pg_cancel *pg_client_cancel(struct pg_client *client, pg_cancel_fn on_sent, void *owner)
{
    PGconn *pq = pg_client_libpq(client);
    PGcancel *request = pq ? PQgetCancel(pq) : NULL;
    if (!request)
        return NULL;
    struct pg_cancel *cancel = mem_calloc(sizeof(*cancel));
    cancel->request = request;
    cancel->on_done = on_sent;
    cancel->owner = owner;
    cancel->work.run = pg_cancel_run;
    cancel->work.on_done = pg_cancel_on_done;
    work_start(&cancel->work, pg_client_loop(client));
    return cancel;
}

void pg_cancel_forget(struct pg_cancel *cancel)
{
    cancel->owner = NULL; /* the server should hear it all the same */
}

#endif
