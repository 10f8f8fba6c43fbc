/* The HTTP/1.1 side of one connection: see session.h. Everything here runs outside Lua; a handler
 * that ends during a read simply lets the loop in session_feed go on with the next request. */
#include "http/session.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/tally.h"
#include "http/response.h"
#include "http/session_state.h"

#include <assert.h>
#include <string.h>
#include <time.h>

/* The session is through with it; a handler that still needs it frees it later. */
static void request_drop(struct request *rq)
{
    if (!rq->is_kept)
        http_server_free_request(rq);
}

struct conn *session_conn_of(struct request *rq)
{
    return rq->session ? &rq->session->conn : NULL;
}

bool session_is_reachable(const struct request *rq)
{
    return rq->session && !rq->is_disconnected && rq->session->conn.state == CONN_OPEN;
}

void session_detach_request(struct request *rq)
{
    request_keep(rq);
    rq->session->request = NULL;
    rq->session = NULL;
}

/* What has not arrived of its body never will. */
static void request_break_body(struct request *rq)
{
    if (rq->stage != REQUEST_BODY)
        return;
    rq->stage = REQUEST_BROKEN;
    rq->body_error = "aborted";
}

/* Takes the connection away from a request that is not through with it. All ways to lose one lead
 * through here, so whoever waits for something that only the connection can bring (the body, room
 * for more, the last byte) is told, and once. rq can be gone after this. */
static void request_lose(struct request *rq)
{
    request_break_body(rq);
    session_detach_request(rq);
    if (request_is_held(rq))
        rq->server->events.on_gone(rq);
}

/* The client has left, while a handler is at work for it. */
static void request_leave(struct request *rq)
{
    if (rq->is_disconnected)
        return;
    rq->is_disconnected = true;
    rq->wants_close = true;
    request_break_body(rq);
    rq->server->events.on_left(rq);
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

struct request *session_begin(struct session *session)
{
    list_remove(&session->link);
    list_push(&session->server->busy, &session->link);
    session->request = http_server_new_request(session->server);
    session->request->session = session;
    return session->request;
}

void session_finish(struct session *session, bool is_clean)
{
    loop_clear_deadline(session->server->loop, &session->deadline);
    session_drop_early(session);
    if (is_clean)
        conn_finish(&session->conn);
    else
        conn_linger(&session->conn);
}

/* The request is answered, read and logged: on to the next. */
void session_next(struct session *session)
{
    struct request *rq = session->request;
    struct http_server *server = session->server;
    bool wants_close = rq->wants_close || server->is_draining;
    bool is_feeding = server->feeding == session;
    session->request = NULL;
    rq->session = NULL;
    request_drop(rq);
    if (wants_close) {
        session_finish(session, session_early(session) == 0 && !(is_feeding && server->unfed > 0));
        return;
    }
    session_set_idle(session);
    if (session_early(session) > 0)
        session_defer_early(session);
    else if (!is_feeding)
        conn_read_start(&session->conn);
}

/* The connection ends. A handler that is at work for its request keeps that until
 * session_request_done. */
static void session_abandon(struct session *session)
{
    struct request *rq = session->request;
    if (!rq)
        return;
    rq->is_disconnected = true;
    bool is_held = request_is_held(rq);
    request_lose(rq); /* may free it, if it was held */
    if (!is_held)
        request_drop(rq);
}

/* Whoever has the connection has it no longer, and is told now: nothing of a request or a guest
 * runs between "it is gone" and "it is closed". Only closing may follow. */
static void session_vacate(struct session *session)
{
    struct guest *guest = session->guest;
    if (session->request && request_is_held(session->request))
        request_leave(session->request);
    session_abandon(session);
    if (guest) {
        guest_part(guest);
        guest->events->on_gone(guest); /* frees it */
    }
    loop_clear_deadline(session->server->loop, &session->deadline);
    session_drop_early(session);
}

void session_close(struct session *session)
{
    session_vacate(session);
    conn_close(&session->conn);
}

static void log_once(struct request *rq)
{
    if (rq->is_logged || !rq->server->events.on_log)
        return;
    rq->is_logged = true;
    rq->server->events.on_log(rq);
}

void session_refuse(struct session *session, int status)
{
    struct request *rq = session->request;
    bool is_cut = rq->answer == ANSWER_STARTED;
    rq->wants_close = true;
    rq->stage = REQUEST_BROKEN;
    if (rq->answer == ANSWER_NONE) {
        response_plain(rq, status);
        log_once(rq);
    }
    /* To its handler it is as if the client had left. Whoever reads the body learns more. */
    if (request_is_held(rq) && !rq->is_wanted)
        request_leave(rq);
    session_abandon(session); /* rq can be gone after this */
    if (!is_cut)
        session_finish(session, false);
    else
        session_close(session); /* the client sees that the answer is incomplete */
}

/* ---- what the connection tells ---- */

static void session_on_gone(struct conn *conn, int err)
{
    struct session *session = session_of(conn);
    struct request *rq = session->request;
    if (err == UV_EOF && rq && request_is_held(rq)) {
        loop_clear_deadline(session->server->loop, &session->deadline);
        request_leave(rq); /* it may only have ended its own side: an answer can still be sent */
    } else if (err == UV_EOF && !rq && !session->guest) {
        session_finish(session, true);
    } else {
        session_close(session);
    }
}

static void session_on_drained(struct conn *conn)
{
    struct session *session = session_of(conn);
    if (session->guest) {
        if (session->guest->events->on_drained)
            session->guest->events->on_drained(session->guest);
    } else if (session->request)
        session->server->events.on_writable(session->request);
    else if (session_early(session) > 0)
        session_defer_early(session);
    else
        conn_read_start(conn);
}

static void session_on_closed(struct conn *conn)
{
    struct session *session = session_of(conn);
    struct http_server *server = session->server;
    session_vacate(session); /* nobody has it, unless the connection has closed by itself */
    list_remove(&session->link);
    mem_free(session);
    http_server_leave(server);
}

static const struct conn_events session_events = {
    .on_data = session_on_data,
    .on_gone = session_on_gone,
    .on_drained = session_on_drained,
    .on_closed = session_on_closed,
    .on_turn = session_on_turn,
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

/* What has arrived is read first; whether it has moved the deadline, or ended what that is for. */
static bool session_catch_up(struct session *session)
{
    struct loop *loop = session->server->loop;
    loop_set_deadline(loop, &session->deadline, 0);
    uint64_t due_ms = session->deadline.due_ms;
    conn_catch_up(&session->conn); /* may close */
    if (session->conn.state != CONN_OPEN || session->deadline.due_ms != due_ms)
        return true;
    loop_clear_deadline(loop, &session->deadline);
    return false;
}

static void session_on_due(struct deadline *deadline)
{
    struct session *session = container_of(deadline, struct session, deadline);
    if (session_catch_up(session))
        return;
    struct request *rq = session->request;
    if (session->guest)
        session->guest->events->on_due(session->guest);
    else if (!rq)
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
    int err = conn_open(&session->conn, server->loop, fd, is_unix, &session_events);
    if (err) {
        mem_free(session);
        return err;
    }
    session->conn.stall_ms = server->limits.write_ms;
    http_server_enter(server);
    session_set_idle(session);
    /* Who comes late in a long turn is a newcomer in the next one, see http_server_evict. */
    loop_set_deadline(server->loop, &session->deadline,
                      server->limits.idle_ms + loop_late_ms(server->loop));
    conn_read_start(&session->conn);
    return 0;
}

/* ---- for handlers ---- */

void session_read_body(struct request *rq, uint64_t limit)
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

void session_leave_unread(struct session *session)
{
    session_abandon(session);
    session_finish(session, false);
}

/* How the rest of the body that nobody read is got rid of: swallowed when it is small, else by
 * closing. */
static void session_discard_body(struct session *session)
{
    struct request *rq = session->request;
    rq->is_discarding = true;
    request_drop_body(rq);
    if (rq->wants_close) {
        session_leave_unread(session);
        return;
    }
    conn_read_start(&session->conn);
    session_watch_body(session);
}

void session_cut_off(struct request *rq)
{
    struct session *session = rq->session;
    rq->answer = ANSWER_ENDED;
    if (!session)
        return;
    bool is_unframed = rq->framing == FRAMING_CLOSE;
    conn_flush(&session->conn);
    request_lose(rq);
    if (is_unframed)
        conn_reset(&session->conn); /* the end alone would look like success */
    else
        conn_close(&session->conn);
}

void session_request_done(struct request *rq)
{
    struct session *session = rq->session;
    rq->is_done = true;
    log_once(rq);
    if (session && rq->answer != ANSWER_ENDED)
        session_cut_off(rq);
    session = rq->session;
    if (!session) {
        request_drop(rq);
        return;
    }
    if (rq->is_kept)
        request_keep(rq);
    if (rq->is_kept && rq->stage == REQUEST_BODY)
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
