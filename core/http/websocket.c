/* The life of a WebSocket: how a session becomes one, what its connection tells, pings, and how it
 * ends. Here only the loop leads to on_close: no ws_... function that the application calls does. */
#include "http/websocket.h"

#include "base/alloc.h"
#include "base/tally.h"
#include "http/ws_deflate.h"
#include "http/ws_state.h"

#include <assert.h>

void *ws_owner(const struct websocket *ws)
{
    return ws->owner;
}

uint64_t ws_id(const struct websocket *ws)
{
    return ws->id;
}

struct conn *ws_conn(struct websocket *ws)
{
    return conn_of(ws);
}

/* ---- the end ---- */

/* Calls on_close and frees it. What becomes of the connection was decided before. `reason` may be in
 * its frame. */
static void ws_end(struct websocket *ws, int code, const char *reason, size_t len)
{
    struct session *session = ws->session;
    ws->state = WS_ENDED;
    session->ws = NULL;
    loop_clear_deadline(session->server->loop, &session->deadline);
    loop_cancel_job(&session->again);
    bytes_deinit(&session->rest);
    ws->events->on_close(ws, code, reason, len);

    if (ws->frame)
        ws_frame_return(pool_of(ws), ws->frame);
    ws_message_free(ws->message);
    mem_free(ws->pong);
    mem_free(ws);
    tally_add(TALLY_WEBSOCKET, -1);
}

void ws_fail(struct websocket *ws, int code)
{
    struct conn *conn = conn_of(ws);
    if (ws->state == WS_OPEN)
        ws_send_close(ws, code, NULL, 0);
    conn_linger_long(conn);
    ws_end(ws, code, "", 0);
}

void ws_on_peer_close(struct websocket *ws, int code, const char *reason, size_t len)
{
    struct conn *conn = conn_of(ws);
    if (ws->state == WS_OPEN)
        ws_send_close(ws, code, NULL, 0);
    conn_linger(conn);
    ws_end(ws, code, reason, len);
}

void ws_abort(struct websocket *ws)
{
    conn_close(conn_of(ws)); /* on_closed comes */
}

/* ---- waiting and going on ---- */

bool ws_must_wait(struct websocket *ws)
{
    struct conn *conn = conn_of(ws);
    if (ws->state != WS_OPEN)
        return false; /* only the peer's close frame is of interest */
    if (ws->is_paused)
        return true;
    if (conn_unsent(conn) <= CONN_HIGH_WATER)
        return false;
    conn_flush(conn);
    return conn_unsent(conn) > CONN_HIGH_WATER;
}

static void go_on(struct websocket *ws)
{
    struct session *session = ws->session;
    if (ws->is_paused || session->conn.state != CONN_OPEN)
        return;
    if (session->rest.len > 0)
        loop_defer(session->server->loop, &session->again);
    else
        conn_read_start(&session->conn);
}

/* Reads what came too early. Where it stops is remembered, nothing is moved: there may be ten
 * thousand messages in it, each taken by itself. */
static void ws_again(struct loop_job *job)
{
    struct session *session = container_of(job, struct session, again);
    struct websocket *ws = session->ws;
    struct conn *conn = &session->conn;
    conn_cork(conn);
    size_t used = ws_read(ws, session->rest.data + ws->rest_at, session->rest.len - ws->rest_at);
    conn_uncork(conn);
    if (!session->ws)
        return;
    ws->rest_at += (uint32_t)used;
    if (ws->rest_at < session->rest.len)
        return; /* ws_resume or on_drained leads back here */
    bytes_deinit(&session->rest);
    ws->rest_at = 0;
    if (!ws_must_wait(ws))
        conn_read_start(conn);
}

void ws_pause(struct websocket *ws)
{
    if (ws->state != WS_OPEN)
        return;
    ws->is_paused = true;
    conn_read_stop(conn_of(ws));
}

void ws_resume(struct websocket *ws)
{
    if (!ws->is_paused)
        return;
    ws->is_paused = false;
    ws->heard_ms = loop_now_ms(conn_of(ws)->loop); /* we did not listen */
    go_on(ws);
}

void ws_close(struct websocket *ws, int code, const char *reason, size_t len)
{
    if (ws->state != WS_OPEN)
        return;
    ws_send_close(ws, code, reason, len);
    ws->state = WS_CLOSING;
    ws_message_free(ws->message);
    ws->message = NULL;
    loop_set_deadline(conn_of(ws)->loop, &ws->session->deadline, ws->options.close_ms);
    ws->is_paused = false;
    go_on(ws);
}

/* ---- what the connection tells ---- */

static void ws_on_data(struct conn *conn, const char *data, size_t len)
{
    struct session *session = session_of(conn);
    struct websocket *ws = session->ws;
    size_t used = 0;
    ws->heard_ms = loop_now_ms(conn->loop);
    ws->awaits_pong = false;
    if (session->rest.len == 0) {
        conn_cork(conn);
        used = ws_read(ws, data, len);
        conn_uncork(conn);
    }
    if (!session->ws || conn->state != CONN_OPEN)
        return;
    if (used < len)
        bytes_append(&session->rest, data + used, len - used);
    if (session->rest.len > 0 || ws_must_wait(ws))
        conn_read_stop(conn);
}

static void ws_on_gone(struct conn *conn, int err)
{
    struct session *session = session_of(conn);
    if (err == UV_EOF && !list_is_empty(&session->again.link)) {
        loop_cancel_job(&session->again);
        ws_again(&session->again); /* it said something before it left */
    }
    conn_close(conn);
    if (session->ws)
        ws_end(session->ws, WSLAY_CODE_ABNORMAL_CLOSURE, "", 0);
}

static void ws_on_drained(struct conn *conn)
{
    struct websocket *ws = session_of(conn)->ws;
    ws_send_owed(ws);
    go_on(ws);
    if (ws->state == WS_OPEN)
        ws->events->on_drained(ws);
}

static void ws_on_closed(struct conn *conn)
{
    struct session *session = session_of(conn);
    if (session->ws)
        ws_end(session->ws, WSLAY_CODE_ABNORMAL_CLOSURE, "", 0);
    session_on_closed(conn);
}

static const struct conn_events ws_conn_events = {
    .on_data = ws_on_data,
    .on_gone = ws_on_gone,
    .on_drained = ws_on_drained,
    .on_closed = ws_on_closed,
};

/* ---- time ---- */

/* Nothing was heard for a while: asks, if an answer can be expected. When our own bytes do not leave,
 * the connection's write stall watches over it. */
static void ask(struct websocket *ws)
{
    struct conn *conn = conn_of(ws);
    uint64_t after_ms = ws->options.ping_ms;
    if (conn->is_reading && !conn->outbox) {
        ws_send_control(ws, WSLAY_PING, NULL, 0);
        ws->awaits_pong = true;
        after_ms = ws->options.pong_ms;
    }
    loop_set_deadline(conn->loop, &ws->session->deadline, after_ms);
}

static void ws_on_due(struct deadline *deadline)
{
    struct session *session = container_of(deadline, struct session, deadline);
    struct websocket *ws = session->ws;
    struct conn *conn = &session->conn;
    uint64_t silent_ms = loop_now_ms(conn->loop) - ws->heard_ms;
    if (ws->state == WS_CLOSING) {
        conn_finish(conn);
        ws_end(ws, WSLAY_CODE_ABNORMAL_CLOSURE, "", 0);
    } else if (ws->awaits_pong && conn->is_reading) {
        conn_close(conn);
        ws_end(ws, WSLAY_CODE_ABNORMAL_CLOSURE, "", 0);
    } else if (silent_ms < ws->options.ping_ms) {
        loop_set_deadline(conn->loop, deadline, ws->options.ping_ms - silent_ms);
    } else {
        ask(ws);
    }
}

/* ---- the beginning ---- */

static struct websocket *ws_new(struct session *session, const struct ws_options *options)
{
    struct websocket *ws = mem_calloc(sizeof(*ws));
    struct http_server *server = session->server;
    if (!server->ws_pool)
        server->ws_pool = mem_calloc(sizeof(*server->ws_pool));
    ws->session = session;
    ws->options = *options;
    ws->id = ++server->ws_pool->last_id;
    ws->heard_ms = loop_now_ms(server->loop);
    tally_add(TALLY_WEBSOCKET, 1);
    return ws;
}

/* From here on the connection and the session's deadline and job belong to the WebSocket. */
static void take_over(struct session *session, struct websocket *ws)
{
    struct http_server *server = session->server;
    session->ws = ws;
    session->conn.events = &ws_conn_events;
    loop_clear_deadline(server->loop, &session->deadline);
    session->deadline.on_due = ws_on_due;
    session->again.run = ws_again;
    list_remove(&session->link);
    list_push(&server->websockets, &session->link);
    if (ws->options.ping_ms)
        loop_set_deadline(server->loop, &session->deadline, ws->options.ping_ms);
    go_on(ws); /* what came behind the handshake is read at the end of this turn */
}

struct websocket *ws_accept(struct request *rq, const struct ws_options *options,
                            const struct ws_events *events, const char *protocol, void *owner)
{
    struct session *session = rq->session;
    if (!session || rq->is_disconnected || session->conn.state != CONN_OPEN)
        return NULL;
    int window_bits = 0;
    bool deflate = options->deflate && ws_deflate_is_offered(rq, &window_bits);
    ws_shake_hands(rq, protocol, deflate, window_bits);
    request_detach(rq);

    struct websocket *ws = ws_new(session, options);
    ws->events = events;
    ws->owner = owner;
    ws->options.deflate = deflate;
    ws->window_bits = (uint8_t)(window_bits ? window_bits : WS_WINDOW_BITS_MAX);
    take_over(session, ws);
    if (session->server->is_draining)
        ws_close(ws, WSLAY_CODE_GOING_AWAY, NULL, 0);
    return ws;
}

/* ---- all of a server's ---- */

void ws_drain_all(struct http_server *server, int code)
{
    list_each(link, &server->websockets)
    {
        struct websocket *ws = container_of(link, struct session, link)->ws;
        if (ws)
            ws_close(ws, code, NULL, 0);
    }
}

void ws_pool_free(struct ws_pool *pool)
{
    if (!pool)
        return;
    ws_frame_free_all(pool);
    ws_inflater_free(pool->inflater);
    bytes_deinit(&pool->inflated);
    bytes_deinit(&pool->deflated);
    mem_free(pool);
}
