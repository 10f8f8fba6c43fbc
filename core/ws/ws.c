/* The life of a WebSocket: how a session becomes one, what its connection tells, pings, and how it
 * ends. Only the loop leads to on_close, no ws_... function that the application calls does. */
#include "ws/ws.h"

#include "base/mem.h"
#include "base/tally.h"
#include "ws/ws_state.h"

bool ws_is_open(const struct websocket *ws)
{
    return ws->state == WS_OPEN;
}

struct conn *ws_conn(const struct websocket *ws)
{
    return ws->guest.session ? ws_link_of(ws) : NULL;
}

/* ---- the end ---- */

/* Calls on_close. What becomes of the connection was decided before. `reason` may be in its frame,
 * which therefore goes last. */
static void ws_end(struct websocket *ws, int code, const char *reason, size_t len)
{
    struct ws_frame *frame = ws->frame;
    ws->state = WS_ENDED;
    ws->is_paused = false;
    guest_part(&ws->guest);
    ws_message_free(ws->message);
    mem_free(ws->pong);
    tally_add(TALLY_WEBSOCKET, -1);

    ws->kind->events->on_close(ws, code, reason, len); /* ws is gone after this */
    if (frame)
        ws_frame_return(frame);
}

void ws_fail(struct websocket *ws, int code)
{
    struct conn *conn = ws_link_of(ws);
    if (ws->state == WS_OPEN)
        ws_send_close(ws, code, NULL, 0);
    conn_linger(conn);
    ws_end(ws, code, "", 0);
}

void ws_on_peer_close(struct websocket *ws, int code, const char *reason, size_t len)
{
    struct conn *conn = ws_link_of(ws);
    if (ws->state == WS_OPEN)
        ws_send_close(ws, code, NULL, 0);
    conn_linger(conn);
    ws_end(ws, code, reason, len);
}

/* ---- waiting and going on ---- */

static struct websocket *ws_of(struct guest *guest)
{
    return container_of(guest, struct websocket, guest);
}

/* It is alive. */
static void hear(struct websocket *ws)
{
    ws->heard_ms = (uint32_t)loop_now_ms(conn_loop(ws_link_of(ws)));
    if (!ws->awaits_pong)
        return;
    ws->awaits_pong = false;
    if (ws->state == WS_OPEN)
        guest_set_deadline(&ws->guest, ws->kind->options.ping_ms);
}

bool ws_must_wait(struct websocket *ws)
{
    struct conn *conn = ws_link_of(ws);
    if (ws->state != WS_OPEN)
        return false; /* only the peer's close frame is of interest */
    if (ws->is_paused)
        return true;
    if (conn_unsent(conn) <= CONN_HIGH_WATER)
        return false;
    conn_flush(conn);
    return conn_unsent(conn) > CONN_HIGH_WATER;
}

static void ws_go_on(struct websocket *ws)
{
    struct session *session = ws->guest.session;
    if (ws->is_paused || session->conn.state != CONN_OPEN)
        return;
    if (session_early(session) > 0)
        session_defer_early(session);
    else
        conn_read_start(&session->conn);
}

/* Reads what came too early: there may be ten thousand messages in it, each taken by itself. */
static void ws_on_early(struct guest *guest)
{
    struct websocket *ws = ws_of(guest);
    struct session *session = guest->session;
    struct conn *conn = &session->conn;
    conn_cork(conn);
    size_t used = ws_read(ws, session->early->bytes.data, session->early->bytes.len);
    conn_uncork(conn);
    if (!session->guest || conn->state != CONN_OPEN)
        return;
    bytes_consume(&session->early->bytes, used);
    if (session_early(session) > 0)
        return; /* our next turn, ws_resume or on_drained leads back here */
    session_drop_early(session);
    if (!ws_must_wait(ws))
        conn_read_start(conn);
}

void ws_pause(struct websocket *ws)
{
    if (ws->state != WS_OPEN)
        return;
    ws->is_paused = true;
    conn_read_stop(ws_link_of(ws));
}

void ws_resume(struct websocket *ws)
{
    if (!ws->is_paused)
        return;
    ws->is_paused = false;
    hear(ws); /* until now we did not listen */
    ws_go_on(ws);
}

void ws_close(struct websocket *ws, int code, const char *reason, size_t len)
{
    if (ws->state != WS_OPEN)
        return;
    ws_send_close(ws, code, reason, len);
    ws->state = WS_CLOSING;
    ws_message_free(ws->message);
    ws->message = NULL;
    guest_set_deadline(&ws->guest, ws->kind->options.close_ms);
    ws->is_paused = false;
    ws_go_on(ws);
}

/* ---- what the session tells ---- */

static void ws_on_data(struct guest *guest, const char *data, size_t len)
{
    struct session *session = guest->session;
    struct conn *conn = &session->conn;
    struct websocket *ws = ws_of(guest);
    size_t used = 0;
    hear(ws);
    if (session_early(session) == 0) {
        conn_cork(conn);
        used = ws_read(ws, data, len);
        conn_uncork(conn);
    }
    if (!session->guest || conn->state != CONN_OPEN)
        return;
    if (used < len)
        session_put_early(session, data + used, len - used);
    if (session_early(session) > 0 || ws_must_wait(ws))
        conn_read_stop(conn);
}

static void ws_on_drained(struct guest *guest)
{
    struct websocket *ws = ws_of(guest);
    ws_send_owed(ws);
    ws_go_on(ws);
    ws->kind->events->on_drained(ws);
}

static void ws_on_new_owner(struct guest *guest)
{
    struct websocket *ws = ws_of(guest);
    ws->kind->events->on_new_owner(ws);
}

static void ws_on_drain(struct guest *guest)
{
    ws_close(ws_of(guest), WSLAY_CODE_GOING_AWAY, NULL, 0);
}

static void ws_on_gone(struct guest *guest)
{
    ws_end(ws_of(guest), WSLAY_CODE_ABNORMAL_CLOSURE, "", 0);
}

/* Nothing was heard for a while: asks, if an answer can be expected. When our own bytes do not
 * leave, the connection's write stall watches over it. */
static void ask(struct websocket *ws)
{
    struct conn *conn = ws_link_of(ws);
    if (!conn->is_reading || conn->outbox) {
        guest_set_deadline(&ws->guest, ws->kind->options.ping_ms);
        return;
    }
    ws_send_control(ws, WSLAY_PING, NULL, 0);
    ws->awaits_pong = true;
    guest_set_deadline(&ws->guest, ws->kind->options.pong_ms);
}

static void ws_on_due(struct guest *guest)
{
    struct websocket *ws = ws_of(guest);
    struct conn *conn = ws_link_of(ws);
    uint32_t silent_ms = (uint32_t)loop_now_ms(conn_loop(conn)) - ws->heard_ms;
    if (ws->state == WS_CLOSING) {
        conn_finish(conn);
        ws_end(ws, WSLAY_CODE_ABNORMAL_CLOSURE, "", 0);
    } else if (ws->awaits_pong && conn->is_reading) {
        conn_close(conn);
        ws_end(ws, WSLAY_CODE_ABNORMAL_CLOSURE, "", 0);
    } else if (silent_ms < ws->kind->options.ping_ms) {
        guest_set_deadline(guest, ws->kind->options.ping_ms - silent_ms);
    } else {
        ask(ws);
    }
}

static const struct guest_events ws_guest_events = {
    .on_data = ws_on_data,
    .on_early = ws_on_early,
    .on_drained = ws_on_drained,
    .on_due = ws_on_due,
    .on_new_owner = ws_on_new_owner,
    .on_drain = ws_on_drain,
    .on_gone = ws_on_gone,
};

/* ---- the beginning ---- */

bool ws_accept(struct websocket *ws, struct request *rq, const struct ws_options *options,
               const struct ws_events *events, const char *protocol)
{
    if (!session_is_reachable(rq))
        return false;
    struct http_server *server = rq->session->server;
    int window_bits = ws_shake_hands(rq, protocol, options->deflate);
    if (window_bits < 0)
        return false;
    tally_add(TALLY_WEBSOCKET, 1);
    ws->kind = ws_pool_kind(ws_pool_of(server), options, events);
    ws->window_bits = window_bits;
    guest_enter(&ws->guest, &ws_guest_events, rq);
    hear(ws);
    if (options->ping_ms)
        guest_set_deadline(&ws->guest, options->ping_ms);
    else
        guest_clear_deadline(&ws->guest);
    ws_go_on(ws); /* what came behind the handshake is read at the end of this turn */
    if (server->is_draining)
        ws_close(ws, WSLAY_CODE_GOING_AWAY, NULL, 0);
    return true;
}
