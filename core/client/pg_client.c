/* Drives libpq by the readiness of its socket. */
#include "client/pg_client.h"

#ifdef NEAP_HAS_PQ

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tally.h"
#include "client/pg_address.h"
#include "client/pg_client_state.h"
#include "client/pg_result.h"
#include "net/poller.h"

#include <assert.h>
#include <libpq-fe.h>
#include <string.h>
#include <sys/ioctl.h>

/* The socket of a connection can be another one after each step of connecting, so the poller that
 * watches it is on its own: it is freed when it has closed. */
struct watch {
    struct poller poller;
    struct pg_client *client;
    int fd;
};

struct pg_client {
    struct loop *loop;
    pg_change_fn on_change;
    void *owner;
    struct pg_address *address; /* being looked up, or NULL */
    PGconn *pq;                 /* NULL: not yet, or not any more */
    struct watch *watch;        /* NULL: there is no socket to watch */
    enum pg_state state;        /* PG_IDLE stands for PG_INSIDE too: libpq knows */
    char *error;
    PGnotify *notice;    /* not taken yet */
    size_t unparsed;     /* bytes read since the last whole message that we saw */
    size_t max_unparsed; /* more are too many for one */
    bool is_listening;
    bool is_flushed; /* libpq has nothing more to send */
};

/* ---- the end ---- */

static void on_watch_closed(struct poller *poller)
{
    mem_free(container_of(poller, struct watch, poller));
}

static void unwatch(struct pg_client *client)
{
    if (client->watch)
        poller_close(&client->watch->poller, on_watch_closed);
    client->watch = NULL;
}

static void break_off(struct pg_client *client, const char *error)
{
    if (client->state == PG_BROKEN)
        return;
    client->state = PG_BROKEN;
    client->error = mem_strndup(error, strcspn(error, "\n"));
    unwatch(client);
}

void pg_client_close(struct pg_client *client)
{
    unwatch(client);
    if (client->address)
        pg_address_forget(client->address);
    if (client->notice)
        PQfreemem(client->notice);
    if (client->pq)
        PQfinish(client->pq);
    mem_free(client->error);
    mem_free(client);
    tally_add(TALLY_PG, -1);
}

/* ---- reading and writing ---- */

/* While a result or a notification waits to be taken we do not read: the server has to wait too. */
static bool wants_more(const struct pg_client *client)
{
    if (client->notice)
        return false;
    return client->state != PG_BUSY || PQisBusy(client->pq);
}

static void watch_again(struct pg_client *client)
{
    if (client->watch)
        poller_want(&client->watch->poller, (wants_more(client) ? POLLER_READ : 0) |
                                                (client->is_flushed ? 0 : POLLER_WRITE));
}

static void flush(struct pg_client *client)
{
    int left = PQflush(client->pq);
    client->is_flushed = left <= 0;
    if (left < 0)
        break_off(client, PQerrorMessage(client->pq));
}

static void collect_notices(struct pg_client *client)
{
    PGnotify *notice;
    while (!client->notice && (notice = PQnotifies(client->pq)) != NULL) {
        client->unparsed = 0;
        if (client->is_listening)
            client->notice = notice;
        else
            PQfreemem(notice); /* somebody said LISTEN on a connection that others use as well */
    }
}

static void pg_client_receive(struct pg_client *client)
{
    int waiting = 0;
    if (ioctl(PQsocket(client->pq), FIONREAD, &waiting) == 0 && waiting > 0)
        client->unparsed += (size_t)waiting;
    if (client->unparsed > client->max_unparsed)
        break_off(client, "too_large");
    else if (!PQconsumeInput(client->pq))
        break_off(client, PQerrorMessage(client->pq));
    else
        collect_notices(client);
}

static bool has_news(const struct pg_client *client)
{
    return client->state == PG_BROKEN || client->notice ||
           (client->state == PG_BUSY && !PQisBusy(client->pq));
}

static void on_ready(struct poller *poller, int ready)
{
    struct pg_client *client = container_of(poller, struct watch, poller)->client;
    if (ready & POLLER_WRITE)
        flush(client);
    if ((ready & POLLER_READ) && client->state != PG_BROKEN)
        pg_client_receive(client);
    if (client->state != PG_BROKEN)
        watch_again(client);
    if (has_news(client))
        client->on_change(client->owner); /* may close it */
}

/* ---- connecting ---- */

static void on_connecting(struct poller *poller, int ready);

static bool pg_client_watch(struct pg_client *client, poller_ready_fn on_event, int wanted)
{
    int fd = PQsocket(client->pq);
    if (client->watch && client->watch->fd != fd)
        unwatch(client);
    if (!client->watch) {
        struct watch *watch = mem_calloc(sizeof(*watch));
        watch->client = client;
        watch->fd = fd;
        if (poller_open(&watch->poller, client->loop, fd, on_event) != 0) {
            mem_free(watch);
            return false;
        }
        client->watch = watch;
    }
    client->watch->poller.on_ready = on_event;
    poller_want(&client->watch->poller, wanted);
    return true;
}

/* What the server says beside its results: one line in the log. */
static void on_server_notice(void *arg, const PGresult *result)
{
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    (void)arg;
    if (text && severity && strcmp(severity, "WARNING") == 0)
        log_warn("pg: %s", text);
    else if (text)
        log_info("pg: %s", text);
}

static void become_ready(struct pg_client *client)
{
    PQsetnonblocking(client->pq, 1);
    client->state = PG_IDLE;
    client->is_flushed = true;
    if (!pg_client_watch(client, on_ready, POLLER_READ))
        break_off(client, "the socket cannot be watched");
}

/* One step. False: nothing is decided yet. */
static bool connect_step(struct pg_client *client)
{
    if (client->watch)
        poller_want(&client->watch->poller, 0); /* libpq may close this socket and open another */
    PostgresPollingStatusType status = PQconnectPoll(client->pq);
    if (status == PGRES_POLLING_OK) {
        become_ready(client);
        return true;
    }
    int wanted = status == PGRES_POLLING_READING ? POLLER_READ : POLLER_WRITE;
    if (status != PGRES_POLLING_FAILED && pg_client_watch(client, on_connecting, wanted))
        return false;
    break_off(client, PQerrorMessage(client->pq));
    return true;
}

static void on_connecting(struct poller *poller, int ready)
{
    struct pg_client *client = container_of(poller, struct watch, poller)->client;
    (void)ready;
    if (connect_step(client))
        client->on_change(client->owner);
}

static void on_address(void *owner, const struct pg_address *address, const char *error)
{
    struct pg_client *client = owner;
    client->address = NULL;
    if (!error)
        client->pq = pg_address_connect(address);
    if (error || !client->pq)
        break_off(client, error ? error : "not enough memory");
    else if (PQstatus(client->pq) == CONNECTION_BAD)
        break_off(client, PQerrorMessage(client->pq));
    else {
        PQsetNoticeReceiver(client->pq, on_server_notice, NULL);
        if (pg_client_watch(client, on_connecting, POLLER_WRITE)) /* as libpq wants it at first */
            return;
        break_off(client, "the socket cannot be watched");
    }
    client->on_change(client->owner);
}

struct pg_client *pg_client_open(struct loop *loop, const char *dsn, size_t max_message,
                                 pg_change_fn on_change, void *owner)
{
    struct pg_client *client = mem_calloc(sizeof(*client));
    client->loop = loop;
    client->on_change = on_change;
    client->owner = owner;
    client->state = PG_CONNECTING;
    client->max_unparsed = max_message;
    client->address = pg_address_look_up(loop, dsn, on_address, client);
    tally_add(TALLY_PG, 1);
    return client;
}

/* ---- statements ---- */

enum pg_state pg_client_state(const struct pg_client *client)
{
    if (client->state == PG_IDLE && PQtransactionStatus(client->pq) != PQTRANS_IDLE)
        return PG_INSIDE;
    return client->state;
}

const char *pg_client_error(const struct pg_client *client)
{
    return client->error ? client->error : "";
}

int pg_client_send(struct pg_client *client, const struct pg_statement *statement)
{
    assert(client->state == PG_IDLE);
    int is_sent =
        statement->is_script
            ? PQsendQuery(client->pq, statement->sql)
            : PQsendQueryParams(client->pq, statement->sql, statement->count, statement->types,
                                statement->values, statement->lengths, statement->formats, 0);
    if (!is_sent || !PQsetSingleRowMode(client->pq)) {
        break_off(client, PQerrorMessage(client->pq));
        return -1;
    }
    client->state = PG_BUSY;
    client->unparsed = 0;
    flush(client);
    if (client->state == PG_BROKEN)
        return -1;
    watch_again(client);
    return 0;
}

static bool is_copy(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

enum pg_next pg_client_next(struct pg_client *client, struct pg_result **result)
{
    if (client->state != PG_BUSY)
        return PG_DONE;
    if (PQisBusy(client->pq)) {
        watch_again(client);
        return PG_WAIT;
    }
    client->unparsed = 0;
    *result = PQgetResult(client->pq);
    if (*result && is_copy(*result)) {
        PQclear(*result);
        *result = NULL;
        break_off(client, "COPY is not supported");
        return PG_DONE;
    }
    if (*result)
        return PG_RESULT;
    client->state = PG_IDLE;
    if (PQstatus(client->pq) == CONNECTION_BAD)
        break_off(client, PQerrorMessage(client->pq));
    else
        watch_again(client);
    return PG_DONE;
}

/* ---- notifications ---- */

bool pg_client_take_notice(struct pg_client *client, struct pg_notice *notice)
{
    client->is_listening = true;
    if (!client->notice)
        return false;
    PGnotify *taken = client->notice;
    *notice =
        (struct pg_notice){.channel = taken->relname, .payload = taken->extra, .memory = taken};
    client->notice = NULL;
    if (client->state != PG_BROKEN) {
        collect_notices(client);
        watch_again(client);
    }
    return true;
}

void pg_client_free_notice(struct pg_notice *notice)
{
    PQfreemem(notice->memory);
}

/* ---- for pg_cancel.c ---- */

struct pg_conn *pg_client_libpq(const struct pg_client *client)
{
    return client->pq;
}

struct loop *pg_client_loop(const struct pg_client *client)
{
    return client->loop;
}

#endif
