/* The HTTP/1.1 side of one connection: see session.h. Everything here runs outside Lua; a handler that ends during
 * a read simply lets the loop in session_feed go on with the next request. */
#include "http/session.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/tally.h"
#include "http/response.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#define BODY_HIGH_WATER 65536 /* body bytes kept for a handler that is not reading */
#define DISCARD_MAX 65536     /* unread body bytes we swallow to keep the connection */
#define REST_HIGH_WATER 65536 /* pipelined bytes kept while a handler works */
#define BLANK_MAX 4           /* CR LF bytes allowed before a request line */

struct session {
    struct conn conn;
    struct http_server *server;
    struct request *request; /* being read or answered; NULL between requests */
    struct list link;        /* in server->idle or server->busy */
    struct deadline deadline;
    struct bytes rest;     /* came in behind the request that is being answered */
    struct loop_job again; /* goes on with `rest` */
    uint8_t blank;         /* CR LF bytes seen before a request line */
    bool is_feeding;       /* session_feed is at work below us */
    size_t unfed;          /* bytes it still has behind what it is looking at */
};

static struct session *session_of(struct conn *conn)
{
    return container_of(conn, struct session, conn);
}

/* ---- requests: made, found, freed ---- */

static struct request *request_new(struct session *session)
{
    struct http_server *server = session->server;
    struct request *rq = server->free_count > 0 ? server->free_requests[--server->free_count]
                                                : mem_calloc(sizeof(struct request));
    request_reset(rq);
    rq->session = session;
    rq->server = server;
    rq->id = ++server->last_id;
    rq->handle = slots_put(&server->requests, rq);
    parser_start(rq, &server->limits);
    server->total_requests++;
    tally_add(TALLY_REQUEST, 1);
    return rq;
}

void request_free(struct request *rq)
{
    struct http_server *server = rq->server;
    assert(!rq->session);
    slots_take(&server->requests, rq->handle);
    tally_add(TALLY_REQUEST, -1);
    if (server->free_count < sizeof(server->free_requests) / sizeof(*server->free_requests)) {
        server->free_requests[server->free_count++] = rq;
        return;
    }
    request_deinit(rq);
    mem_free(rq);
}

/* The session is through with it; a handler that still needs it frees it later. */
static void request_drop(struct request *rq)
{
    if (!rq->user.keeps)
        request_free(rq);
}

struct request *request_find(struct http_server *server, slot_handle handle)
{
    return slots_get(&server->requests, handle);
}

struct conn *request_conn(struct request *rq)
{
    return rq->session ? &rq->session->conn : NULL;
}

void request_detach(struct request *rq)
{
    if (!rq->session)
        return;
    request_keep(rq);
    rq->session->request = NULL;
    rq->session = NULL;
}

/* ---- between requests ---- */

static void session_set_idle(struct session *session)
{
    struct http_server *server = session->server;
    list_remove(&session->link);
    list_push(&server->idle, &session->link);
    session->blank = 0;
    loop_set_deadline(server->loop, &session->deadline, server->limits.idle_ms);
}

static struct request *session_begin(struct session *session)
{
    list_remove(&session->link);
    list_push(&session->server->busy, &session->link);
    session->request = request_new(session);
    return session->request;
}

/* Ends the connection after an answer. What the client may still be sending would turn our close into a reset that
 * takes the answer with it, so then we linger. */
static void session_finish(struct session *session, bool is_clean)
{
    loop_clear_deadline(session->server->loop, &session->deadline);
    bytes_deinit(&session->rest);
    if (is_clean)
        conn_finish(&session->conn);
    else
        conn_linger(&session->conn);
}

/* The request is answered, read and logged: on to the next. */
static void session_next(struct session *session)
{
    struct request *rq = session->request;
    bool wants_close = rq->wants_close || session->server->is_draining;
    session->request = NULL;
    rq->session = NULL;
    request_drop(rq);
    if (wants_close) {
        session_finish(session, session->rest.len == 0 && session->unfed == 0);
        return;
    }
    session_set_idle(session);
    if (session->rest.len > 0)
        loop_defer(session->server->loop, &session->again);
    else if (!session->is_feeding)
        conn_read_start(&session->conn);
}

/* Takes the request away from a connection that ends. Its handler, if one is at work, keeps it until request_done. */
static void session_abandon(struct session *session)
{
    struct request *rq = session->request;
    if (!rq)
        return;
    request_detach(rq);
    rq->is_disconnected = true;
    if (rq->is_done || !rq->user.task)
        request_drop(rq);
}

static void log_once(struct request *rq)
{
    if (rq->is_logged || !rq->server->events.on_log)
        return;
    rq->is_logged = true;
    rq->server->events.on_log(rq);
}

/* Answers a request that breaks the rules and ends the connection. */
static void session_refuse(struct session *session, int status)
{
    struct request *rq = session->request;
    bool had_handler = rq->user.task != NULL && !rq->is_done;
    bool is_cut = rq->answer == ANSWER_STARTED;
    rq->wants_close = true;
    rq->stage = REQUEST_BROKEN;
    if (rq->answer == ANSWER_NONE) {
        response_plain(rq, status);
        log_once(rq);
    }
    session_abandon(session); /* rq is gone after this, unless a handler has it */
    if (!is_cut)
        session_finish(session, false);
    else
        conn_close(&session->conn); /* cut: the client sees that the answer is incomplete */
    if (had_handler)
        session->server->events.on_body(rq);
}

/* ---- reading ---- */

static void session_watch_body(struct session *session)
{
    struct request *rq = session->request;
    rq->window_start_ms = loop_now_ms(session->server->loop);
    rq->window_bytes = 0;
    loop_set_deadline(session->server->loop, &session->deadline, session->server->limits.body_window_ms);
}

/* Stops reading when nobody takes the body that has arrived. */
static void session_hold_body(struct session *session)
{
    struct request *rq = session->request;
    if (rq->body.len < BODY_HIGH_WATER || rq->is_wanted)
        return;
    conn_read_stop(&session->conn);
    loop_clear_deadline(session->server->loop, &session->deadline);
}

static void session_on_head(struct session *session)
{
    struct request *rq = session->request;
    loop_clear_deadline(session->server->loop, &session->deadline);
    if (rq->stage == REQUEST_BODY && !rq->expects_continue)
        session_watch_body(session);
    if (rq->has_upgrade && session->unfed > 0)
        rq->wants_close = true; /* bytes for a protocol that we do not switch to */
    session->server->events.on_request(rq); /* may end it: rq can be gone after this */
    if (session->request == rq)
        request_keep(rq);
}

static void session_on_body(struct session *session)
{
    struct request *rq = session->request;
    if (rq->is_discarding && rq->body_seen > DISCARD_MAX && rq->stage == REQUEST_BODY) {
        rq->wants_close = true;
        rq->stage = REQUEST_WHOLE; /* enough: what is left is discarded while lingering */
    }
    if (rq->stage == REQUEST_WHOLE)
        loop_clear_deadline(session->server->loop, &session->deadline);
    if (rq->is_done) {
        if (rq->stage == REQUEST_WHOLE)
            session_next(session);
        return;
    }
    session->server->events.on_body(rq); /* wakes the reader, later */
    if (rq->stage == REQUEST_BODY)
        session_hold_body(session);
}

/* Keeps bytes that came too early. */
static void session_stash(struct session *session, const char *data, size_t len)
{
    bytes_append(&session->rest, data, len);
    if (session->rest.len >= REST_HIGH_WATER)
        conn_read_stop(&session->conn);
}

/* Whether a client that asks on without reading our answers has to wait until they have left. */
static bool session_is_behind(struct session *session)
{
    if (conn_unsent(&session->conn) <= CONN_HIGH_WATER)
        return false;
    conn_flush(&session->conn);
    return conn_unsent(&session->conn) > CONN_HIGH_WATER;
}

/* Skips the CR LF that some clients send after a body. How many bytes, or -1 when it is not that. */
static ssize_t session_skip_blank(struct session *session, const char *data, size_t len)
{
    size_t skipped = 0;
    while (skipped < len && (data[skipped] == '\r' || data[skipped] == '\n')) {
        bool wants_lf = session->blank & 1;
        if (session->blank >= BLANK_MAX || wants_lf != (data[skipped] == '\n'))
            return -1;
        session->blank++;
        skipped++;
    }
    return skipped < len && (session->blank & 1) ? -1 : (ssize_t)skipped;
}

/* The header deadline is a total, from the first byte. */
static void session_on_partial_head(struct session *session)
{
    struct request *rq = session->request;
    if (rq->window_start_ms != 0)
        return;
    rq->window_start_ms = loop_now_ms(session->server->loop);
    loop_set_deadline(session->server->loop, &session->deadline, session->server->limits.header_ms);
}

static void session_on_parsed(struct session *session, enum parse_result result, bool was_head)
{
    struct request *rq = session->request;
    switch (result) {
    case PARSE_MORE:
        if (was_head)
            session_on_partial_head(session);
        else
            session_on_body(session);
        break;
    case PARSE_HEAD:
        session_on_head(session);
        break;
    case PARSE_END:
        if (was_head)
            session_on_head(session);
        else
            session_on_body(session);
        break;
    case PARSE_BAD:
        session_refuse(session, rq->refusal);
        break;
    }
}

static void session_feed(struct session *session, const char *data, size_t len)
{
    session->is_feeding = true;
    while (len > 0 && session->conn.state == CONN_OPEN) {
        struct request *rq = session->request;
        if ((rq && rq->stage == REQUEST_WHOLE) || (!rq && session_is_behind(session))) {
            session_stash(session, data, len);
            if (!rq)
                conn_read_stop(&session->conn);
            break;
        }
        if (!rq) {
            ssize_t blank = session_skip_blank(session, data, len);
            if (blank == (ssize_t)len)
                break;
            rq = session_begin(session);
            if (blank < 0) {
                session_refuse(session, 400);
                break;
            }
            data += blank;
            len -= (size_t)blank;
        }
        size_t used;
        bool was_head = rq->stage == REQUEST_HEAD;
        enum parse_result result = parser_feed(rq, data, len, &used);
        data += used;
        len -= used;
        session->unfed = len;
        session_on_parsed(session, result, was_head); /* rq can be gone after this */
    }
    session->is_feeding = false;
    session->unfed = 0;
}

static void session_on_data(struct conn *conn, const char *data, size_t len)
{
    struct session *session = session_of(conn);
    if (session->rest.len > 0) {
        session_stash(session, data, len);
        return;
    }
    conn_cork(conn);
    session_feed(session, data, len);
    conn_uncork(conn);
}

static void session_again(struct loop_job *job)
{
    struct session *session = container_of(job, struct session, again);
    if (session->conn.state != CONN_OPEN || (session->request && session->request->stage == REQUEST_WHOLE))
        return;
    struct bytes rest = session->rest;
    bytes_init(&session->rest);
    conn_cork(&session->conn);
    session_feed(session, rest.data, rest.len);
    conn_uncork(&session->conn);
    bytes_deinit(&rest);
    if (session->conn.state == CONN_OPEN && session->rest.len < REST_HIGH_WATER && !session->conn.is_gone)
        conn_read_start(&session->conn);
}

/* ---- what the connection tells ---- */

static void session_on_gone(struct conn *conn, int err)
{
    struct session *session = session_of(conn);
    struct http_server *server = session->server;
    struct request *rq = session->request;
    if (!rq && err == UV_EOF) {
        session_finish(session, true);
        return;
    }
    if (!rq || rq->stage == REQUEST_HEAD || rq->is_done || err != UV_EOF) {
        bool had_handler = rq && rq->user.task && !rq->is_done;
        bool was_body = rq && rq->stage == REQUEST_BODY;
        session_abandon(session);
        conn_close(conn);
        if (!had_handler)
            return;
        if (was_body) {
            rq->stage = REQUEST_BROKEN;
            rq->body_error = "aborted";
        }
        server->events.on_gone(rq);
        return;
    }
    /* Its side has ended; an answer can still be sent to one that only closed that half. */
    rq->is_disconnected = true;
    rq->wants_close = true;
    if (rq->stage == REQUEST_BODY) {
        rq->stage = REQUEST_BROKEN;
        rq->body_error = "aborted";
    }
    loop_clear_deadline(server->loop, &session->deadline);
    server->events.on_gone(rq);
}

static void session_on_drained(struct conn *conn)
{
    struct session *session = session_of(conn);
    if (session->request)
        session->server->events.on_writable(session->request);
    else if (session->rest.len > 0)
        loop_defer(session->server->loop, &session->again);
    else
        conn_read_start(conn);
}

static void session_on_closed(struct conn *conn)
{
    struct session *session = session_of(conn);
    struct http_server *server = session->server;
    struct request *rq = session->request;
    bool had_handler = rq && rq->user.task && !rq->is_done;
    session_abandon(session);
    loop_clear_deadline(server->loop, &session->deadline);
    loop_cancel_job(&session->again);
    list_remove(&session->link);
    bytes_deinit(&session->rest);
    mem_free(session);
    if (had_handler)
        server->events.on_gone(rq);
    if (--server->count == 0 && server->is_draining && server->on_empty)
        server->on_empty(server);
}

static const struct conn_events session_events = {
    .on_data = session_on_data,
    .on_gone = session_on_gone,
    .on_drained = session_on_drained,
    .on_closed = session_on_closed,
};

/* The body is too slow when fewer bytes came in the window than the rate asks for. */
static void session_check_rate(struct session *session)
{
    struct request *rq = session->request;
    const struct http_limits *limits = &session->server->limits;
    uint64_t needed = (uint64_t)limits->body_rate * limits->body_window_ms / 1000;
    if (rq->window_bytes >= needed) {
        session_watch_body(session);
        return;
    }
    rq->body_error = "timeout";
    session_refuse(session, 408);
}

static void session_on_due(struct deadline *deadline)
{
    struct session *session = container_of(deadline, struct session, deadline);
    struct request *rq = session->request;
    if (!rq)
        conn_close(&session->conn);
    else if (rq->stage == REQUEST_HEAD)
        session_refuse(session, 408);
    else if (rq->stage == REQUEST_BODY)
        session_check_rate(session);
}

int session_open(struct http_server *server, int fd, bool is_unix)
{
    struct session *session = mem_calloc(sizeof(*session));
    session->server = server;
    list_init(&session->link);
    deadline_init(&session->deadline, session_on_due);
    list_init(&session->again.link);
    session->again.run = session_again;
    int err = conn_open(&session->conn, server->loop, fd, is_unix, &session_events);
    if (err) {
        mem_free(session);
        return err;
    }
    session->conn.stall_ms = server->limits.write_ms;
    server->count++;
    session_set_idle(session);
    conn_read_start(&session->conn);
    return 0;
}

/* ---- for handlers ---- */

void request_read_body(struct request *rq, uint64_t limit)
{
    struct session *session = rq->session;
    rq->body_limit = limit;
    rq->is_wanted = true;
    if (rq->stage != REQUEST_BODY || !session)
        return;
    if (rq->length > limit || rq->body_seen > limit) {
        rq->body_error = "too_large";
        session_refuse(session, 413);
        return;
    }
    if (rq->expects_continue && rq->answer == ANSWER_NONE) {
        conn_write(&session->conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        rq->expects_continue = false;
    }
    if (!session->conn.is_reading || !deadline_is_set(&session->deadline)) {
        conn_read_start(&session->conn);
        session_watch_body(session);
    }
}

/* How the rest of the body that nobody read is got rid of: swallowed when it is small, else by closing. */
static void session_discard_body(struct session *session)
{
    struct request *rq = session->request;
    rq->is_discarding = true;
    bytes_clear(&rq->body);
    if (rq->wants_close) {
        session_abandon(session);
        session_finish(session, false);
        return;
    }
    conn_read_start(&session->conn);
    session_watch_body(session);
}

void request_cut(struct request *rq)
{
    struct session *session = rq->session;
    rq->answer = ANSWER_ENDED;
    if (!session)
        return;
    request_detach(rq);
    conn_flush(&session->conn);
    conn_close(&session->conn);
}

void request_done(struct request *rq)
{
    struct session *session = rq->session;
    rq->is_done = true;
    log_once(rq);
    if (session && rq->answer != ANSWER_ENDED)
        request_cut(rq);
    session = rq->session;
    if (!session) {
        request_drop(rq);
        return;
    }
    if (rq->user.keeps)
        request_keep(rq);
    if (rq->user.keeps && rq->stage == REQUEST_BODY)
        rq->wants_close = true; /* it cannot stay with the session to have its body swallowed */
    if (rq->is_disconnected) {
        session_abandon(session);
        session_finish(session, true);
    } else if (rq->stage == REQUEST_BODY) {
        session_discard_body(session);
    } else {
        session_next(session);
    }
}

/* ---- the server ---- */

void http_server_init(struct http_server *server, struct loop *loop, const struct http_limits *limits,
                      const struct http_events *events, void *owner)
{
    memset(server, 0, sizeof(*server));
    server->loop = loop;
    server->limits = *limits;
    server->events = *events;
    server->owner = owner;
    list_init(&server->idle);
    list_init(&server->busy);
    slots_init(&server->requests);
    bytes_init(&server->head);
}

void http_server_deinit(struct http_server *server)
{
    assert(server->count == 0);
    while (server->free_count > 0) {
        struct request *rq = server->free_requests[--server->free_count];
        request_deinit(rq);
        mem_free(rq);
    }
    slots_deinit(&server->requests);
    bytes_deinit(&server->head);
}

static void close_all(struct list *sessions)
{
    for (struct list *link = sessions->next, *next; link != sessions; link = next) {
        next = link->next;
        conn_close(&container_of(link, struct session, link)->conn);
    }
}

void http_server_drain(struct http_server *server, void (*on_empty)(struct http_server *server))
{
    server->is_draining = true;
    server->on_empty = on_empty;
    for (struct list *link = server->idle.next, *next; link != &server->idle; link = next) {
        next = link->next;
        session_finish(container_of(link, struct session, link), true);
    }
    if (server->count == 0)
        on_empty(server);
}

void http_server_abort(struct http_server *server)
{
    close_all(&server->idle);
    close_all(&server->busy);
}

bool http_server_evict(struct http_server *server)
{
    if (list_is_empty(&server->idle))
        return false;
    conn_close(&container_of(server->idle.next, struct session, link)->conn);
    return true;
}
