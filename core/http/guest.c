/* Who has a connection while no request does: see guest.h. */
#include "http/guest.h"

#include "base/mem.h"
#include "http/session_state.h"

#include <assert.h>
#include <string.h>

void guest_enter(struct guest *guest, const struct guest_events *events, struct request *rq)
{
    struct session *session = rq->session;
    assert(session && session->request == rq && !session->guest);
    *guest = (struct guest){
        .events = events,
        .session = session,
        .route = (uint16_t)rq->route,
        .is_http10 = rq->is_http10,
        .is_head = rq->is_head,
        .has_unread = rq->stage == REQUEST_BODY,
        .wants_close = rq->wants_close || rq->stage == REQUEST_BODY,
    };
    if (rq->answer != ANSWER_ENDED) { /* it is logged when the guest answers */
        size_t len;
        const char *path = request_path(rq, &len);
        if (rq->server->events.on_log)
            guest->path = mem_strndup(path, len);
        rq->is_logged = true;
        rq->answer = ANSWER_ENDED;
    }
    session->guest = guest;
    session_detach_request(rq);
}

struct request *guest_leave(struct guest *guest)
{
    struct session *session = guest->session;
    struct request *rq = http_server_new_request(session->server);
    rq->session = session;
    rq->stage = guest->has_unread ? REQUEST_BODY : REQUEST_WHOLE;
    rq->parser.method = guest->is_head ? HTTP_HEAD : HTTP_GET;
    rq->is_http10 = guest->is_http10;
    rq->is_head = guest->is_head;
    rq->wants_close = guest->wants_close;
    rq->route = guest->route;
    rq->owner = session->server->owner;
    if (guest->path) {
        bytes_append_text(&rq->decoded, guest->path);
        mem_free(guest->path);
        guest->path = NULL;
    }
    session->request = rq;
    session->guest = NULL;
    guest->session = NULL;
    return rq; /* the deadline moves on when it is answered: see session_set_idle */
}

struct conn *guest_conn(struct guest *guest)
{
    return guest->session ? &guest->session->conn : NULL;
}

struct http_server *guest_server(const struct guest *guest)
{
    return guest->session->server;
}

void guest_set_deadline(struct guest *guest, uint64_t after_ms)
{
    if (guest->session)
        loop_set_deadline(guest->session->server->loop, &guest->session->deadline, after_ms);
}

void guest_clear_deadline(struct guest *guest)
{
    if (guest->session)
        loop_clear_deadline(guest->session->server->loop, &guest->session->deadline);
}

void guest_part(struct guest *guest)
{
    struct session *session = guest->session;
    if (!session)
        return;
    guest->session = NULL;
    session->guest = NULL;
    loop_clear_deadline(session->server->loop, &session->deadline);
    session_drop_early(session);
    mem_free(guest->path);
    guest->path = NULL;
}
