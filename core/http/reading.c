/* What comes in on a session: bytes to the parser, requests to their handlers, and back-pressure in
 * between. Everything here runs outside Lua; a handler that ends during a read lets the loop in
 * session_feed go on with the next request. */
#include "http/session_state.h"

#include "base/mem.h"

#include <string.h>

#define BODY_HIGH_WATER 65536 /* body bytes kept for a handler that is not reading */
#define DISCARD_MAX 65536     /* unread body bytes we swallow to keep the connection */
#define REST_HIGH_WATER 65536 /* pipelined bytes kept while a handler works */
#define BLANK_MAX 4           /* CR LF bytes allowed before a request line */
#define CHUNKED_PIECE 4096    /* of a body in chunks, between two looks at what time it is */

void session_watch_body(struct session *session)
{
    struct request *rq = session->request;
    rq->window_start_ms = loop_now_ms(session->server->loop);
    rq->window_bytes = 0;
    loop_set_deadline(session->server->loop, &session->deadline,
                      session->server->limits.body_window_ms);
}

/* Stops reading when nobody takes the body that has arrived. */
static void session_hold_body(struct session *session)
{
    struct request *rq = session->request;
    size_t len = rq->body.len;
    bool may_grow = len < BODY_HIGH_WATER &&
                    quota_has_room(session->server->loop->input, len, len + LOOP_READ_SIZE);
    if (may_grow || rq->is_wanted)
        return;
    conn_read_stop(&session->conn);
    loop_clear_deadline(session->server->loop, &session->deadline);
}

static void session_on_head(struct session *session)
{
    struct request *rq = session->request;
    /* Without a body the deadline stays where it is: the answer moves it later, which is cheap. */
    if (rq->stage == REQUEST_BODY)
        loop_clear_deadline(session->server->loop, &session->deadline);
    if (rq->stage == REQUEST_BODY && !rq->expects_continue)
        session_watch_body(session);
    if (rq->has_upgrade && session->server->unfed > 0)
        rq->wants_close = true; /* bytes for a protocol that we do not switch to */
    rq->owner = session->server->owner;
    session->server->events.on_request(rq); /* may end it: rq can be gone after this */
    if (session->request == rq)
        request_keep(rq);
}

static void session_on_body(struct session *session)
{
    struct request *rq = session->request;
    if (rq->is_discarding && rq->body_seen > DISCARD_MAX && rq->stage == REQUEST_BODY) {
        session_leave_unread(session);
        return;
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

/* Bytes have come too early, and were kept. */
static void session_on_stashed(struct session *session)
{
    struct request *rq = session->request;
    if (rq && rq->has_upgrade && rq->answer == ANSWER_NONE)
        rq->wants_close = true; /* see session_on_head */
    if (session_early(session) >= REST_HIGH_WATER)
        conn_read_stop(&session->conn);
}

static void session_stash(struct session *session, const char *data, size_t len)
{
    session_put_early(session, data, len);
    session_on_stashed(session);
}

/* Whether a client that asks on without reading our answers has to wait until they have left. */
static bool session_is_behind(struct session *session)
{
    if (conn_unsent(&session->conn) <= CONN_HIGH_WATER)
        return false;
    conn_flush(&session->conn);
    return conn_unsent(&session->conn) > CONN_HIGH_WATER;
}

/* Skips the CR LF that some clients send after a body. How many bytes, or -1 when it is not
 * that. */
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
    case PARSE_HEAD: session_on_head(session); break;
    case PARSE_END:
        if (was_head)
            session_on_head(session);
        else
            session_on_body(session);
        break;
    case PARSE_BAD: session_refuse(session, rq->refusal); break;
    }
}

static void session_give_guest(struct session *session, const char *data, size_t len)
{
    if (session->guest->events->on_data)
        session->guest->events->on_data(session->guest, data, len);
    else
        session_stash(session, data, len);
}

/* What there was no time for, or what has to wait: the last `len` bytes of `early`, or the bytes at
 * `data` if that is NULL. */
static void session_keep_rest(struct session *session, const char *data, size_t len,
                              struct bytes *early)
{
    if (!early) {
        session_stash(session, data, len);
        return;
    }
    bytes_consume(early, early->len - len);
    session->early = mem_calloc(sizeof(*session->early));
    session->early->bytes = *early;
    bytes_init(early);
    session_on_stashed(session);
}

/* Takes the next step with the `len` bytes at `data`: how many it used. */
static size_t session_step(struct session *session, const char *data, size_t len)
{
    struct request *rq = session->request;
    size_t skipped = 0;
    if (!rq) {
        ssize_t blank = session_skip_blank(session, data, len);
        if (blank == (ssize_t)len)
            return len;
        rq = session_begin(session);
        if (blank < 0) {
            session_refuse(session, 400);
            return len;
        }
        skipped = (size_t)blank;
    }
    size_t used;
    size_t piece = len - skipped;
    bool was_head = rq->stage == REQUEST_HEAD;
    if (!was_head && rq->is_chunked && piece > CHUNKED_PIECE)
        piece = CHUNKED_PIECE; /* may be a thousand chunks */
    enum parse_result result = parser_feed(rq, data + skipped, piece, &used);
    session->server->unfed = len - skipped - used;
    session_on_parsed(session, result, was_head); /* rq can be gone after this */
    return skipped + used;
}

/* Whether the next byte has to wait: for the answer to a request, for a client that asks on without
 * reading our answers, or for others, after this connection has had its share of the turn. */
static bool session_must_wait(struct session *session, bool has_begun)
{
    struct request *rq = session->request;
    if (rq && rq->stage == REQUEST_WHOLE)
        return true;
    if (!rq && session_is_behind(session)) {
        conn_read_stop(&session->conn);
        return true;
    }
    if (!has_begun || !turn_spend(&session->server->loop->turn))
        return false;
    conn_await_turn(&session->conn);
    return true;
}

/* `early`: what has the bytes, if they came early; else NULL. */
static void session_feed(struct session *session, const char *at, size_t len, struct bytes *early)
{
    struct http_server *server = session->server;
    const char *end = at + len;
    bool has_begun = false;
    conn_cork(&session->conn);
    server->feeding = session;
    while (at < end && session->conn.state == CONN_OPEN) {
        if (session->guest) {
            session_give_guest(session, at, (size_t)(end - at)); /* may close */
            at = end;
        } else if (session_must_wait(session, has_begun)) {
            break;
        } else {
            at += session_step(session, at, (size_t)(end - at));
            has_begun = true;
        }
    }
    server->feeding = NULL;
    server->unfed = 0;
    conn_uncork(&session->conn);
    if (at < end && session->conn.state == CONN_OPEN)
        session_keep_rest(session, at, (size_t)(end - at), early);
}

void session_on_data(struct conn *conn, const char *data, size_t len)
{
    struct session *session = session_of(conn);
    if (session->guest) {
        session_give_guest(session, data, len); /* may close */
        return;
    }
    if (session_early(session) > 0)
        session_stash(session, data, len);
    else
        session_feed(session, data, len, NULL);
}

/* ---- what came early ---- */

/* What the parser sees may not move, nor go when the session ends meanwhile. */
static void session_feed_early(struct session *session)
{
    struct bytes bytes = session->early->bytes;
    bytes_init(&session->early->bytes);
    session_drop_early(session);
    session_feed(session, bytes.data, bytes.len, &bytes);
    bytes_deinit(&bytes);
}

/* On with what came early: the request before it was answered, or it is our turn. */
static void session_again(struct session *session)
{
    bool is_answering = session->request && session->request->stage == REQUEST_WHOLE;
    if (is_answering)
        return;
    session_feed_early(session);
    if (session->conn.state == CONN_OPEN && session_early(session) < REST_HIGH_WATER &&
        !session->conn.is_gone)
        conn_read_start(&session->conn);
}

void session_on_turn(struct conn *conn)
{
    struct session *session = session_of(conn);
    if (!session->early)
        return;
    if (!session->guest)
        session_again(session);
    else if (session->guest->events->on_early)
        session->guest->events->on_early(session->guest);
}

void session_put_early(struct session *session, const char *data, size_t len)
{
    if (!session->early)
        session->early = mem_calloc(sizeof(*session->early));
    bytes_append(&session->early->bytes, data, len);
}

void session_defer_early(struct session *session)
{
    if (session->early)
        conn_await_turn(&session->conn);
}

void session_drop_early(struct session *session)
{
    if (!session->early)
        return;
    bytes_deinit(&session->early->bytes);
    mem_free(session->early);
    session->early = NULL;
}
