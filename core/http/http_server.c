/* A worker's HTTP server: see server.h. */
#include "http/http_server.h"

#include "base/mem.h"
#include "base/tally.h"
#include "http/parser.h"
#include "http/session_state.h"

#include <assert.h>
#include <string.h>

/* A session idle for less is a newcomer, whose request may not have been sent yet. */
#define EVICT_MIN_MS 100
#define EVICT_LOOKS 64 /* each is a system call */

#define CROWD_MIN 1000     /* sessions: fewer are not worth looking for their memory */
#define TRIM_AFTER_MS 1000 /* when the rest of a crowd has left as well */

/* malloc by itself keeps what lies below the few that stayed. While they are still leaving it is
 * too early. */
static void on_trim_due(struct deadline *deadline)
{
    struct http_server *server = container_of(deadline, struct http_server, trim);
    bool are_leaving = server->count < server->staying;
    server->staying = server->count;
    if (are_leaving) {
        loop_set_deadline(server->loop, &server->trim, TRIM_AFTER_MS);
        return;
    }
    server->crowd = server->count;
    if (server->events.on_trim)
        server->events.on_trim(server->owner);
    mem_trim();
}

void http_server_init(struct http_server *server, struct loop *loop,
                      const struct http_limits *limits, const struct http_events *events,
                      void *owner)
{
    memset(server, 0, sizeof(*server));
    server->loop = loop;
    server->limits = *limits;
    server->limits.input = loop->input;
    server->events = *events;
    server->owner = owner;
    list_init(&server->idle);
    list_init(&server->busy);
    deadline_init(&server->trim, on_trim_due);
    slots_init(&server->requests);
    bytes_init(&server->head);
}

void http_server_deinit(struct http_server *server)
{
    assert(server->count == 0);
    loop_clear_deadline(server->loop, &server->trim);
    while (server->free_count > 0) {
        struct request *rq = server->free_requests[--server->free_count];
        request_deinit(rq);
        mem_free(rq);
    }
    slots_deinit(&server->requests);
    if (server->shared)
        server->shared->free(server->shared);
    bytes_deinit(&server->head);
}

void http_server_enter(struct http_server *server)
{
    if (++server->count > server->crowd)
        server->crowd = server->count;
}

void http_server_leave(struct http_server *server)
{
    server->count--;
    bool has_left = server->crowd >= CROWD_MIN && server->count < server->crowd / 2;
    if (has_left && !deadline_is_set(&server->trim)) {
        server->staying = server->count;
        loop_set_deadline(server->loop, &server->trim, TRIM_AFTER_MS);
    }
    if (server->count == 0 && server->is_draining && server->on_empty)
        server->on_empty(server);
}

static bool is_newcomer(const struct session *session)
{
    const struct http_server *server = session->server;
    uint64_t since_ms = session->deadline.due_ms - server->limits.idle_ms;
    return loop_now_ms(server->loop) < since_ms + EVICT_MIN_MS;
}

/* Who was quiet while this turn was long may have asked meanwhile: then the next one goes. */
bool http_server_evict(struct http_server *server)
{
    int looks = EVICT_LOOKS;
    list_each (link, &server->idle) {
        struct session *session = container_of(link, struct session, link);
        if (is_newcomer(session) || looks-- == 0)
            return false; /* those that follow are younger */
        if (session->conn.is_queued || conn_has_unread(&session->conn))
            continue;
        list_remove(&session->link);
        conn_close(&session->conn);
        return true;
    }
    return false;
}

struct request *http_server_new_request(struct http_server *server)
{
    size_t user_size = server->events.user_size;
    struct request *rq = server->free_count > 0 ? server->free_requests[--server->free_count]
                                                : mem_calloc(sizeof(struct request) + user_size);
    request_reset(rq, user_size);
    rq->server = server;
    rq->id = ++server->last_id;
    rq->handle = slots_put(&server->requests, rq);
    parser_start(rq, &server->limits);
    server->total_requests++;
    tally_add(TALLY_REQUEST, 1);
    return rq;
}

void http_server_free_request(struct request *rq)
{
    struct http_server *server = rq->server;
    assert(!rq->session);
    request_drop_body(rq);
    slots_take(&server->requests, rq->handle);
    tally_add(TALLY_REQUEST, -1);
    if (server->free_count < sizeof(server->free_requests) / sizeof(*server->free_requests)) {
        server->free_requests[server->free_count++] = rq;
        return;
    }
    request_deinit(rq);
    mem_free(rq);
}

void http_server_renew_request(struct request *rq)
{
    slots_take(&rq->server->requests, rq->handle);
    rq->handle = slots_put(&rq->server->requests, rq);
}

struct request *http_server_find_request(struct http_server *server, slot_handle handle)
{
    return slots_get(&server->requests, handle);
}

/* ---- the end ---- */

static void close_all(struct list *sessions)
{
    for (struct list *link = sessions->next, *next; link != sessions; link = next) {
        next = link->next;
        session_close(container_of(link, struct session, link)); /* leaves the list later */
    }
}

void http_server_each_request(struct http_server *server,
                              void (*visit)(struct request *rq, void *arg), void *arg)
{
    for (struct list *link = server->busy.next, *next; link != &server->busy; link = next) {
        struct session *session = container_of(link, struct session, link);
        next = link->next;
        if (session->request)
            visit(session->request, arg); /* only touches its own session */
    }
}

void http_server_each_guest(struct http_server *server,
                            void (*visit)(struct guest *guest, void *arg), void *arg)
{
    for (struct list *link = server->busy.next, *next; link != &server->busy; link = next) {
        struct session *session = container_of(link, struct session, link);
        next = link->next;
        if (session->guest)
            visit(session->guest, arg); /* only touches its own session */
    }
}

static void drain_guest(struct guest *guest, void *arg)
{
    (void)arg;
    guest->events->on_drain(guest);
}

void http_server_drain(struct http_server *server, void (*on_empty)(struct http_server *server))
{
    server->is_draining = true;
    server->on_empty = on_empty;
    for (struct list *link = server->idle.next, *next; link != &server->idle; link = next) {
        struct session *session = container_of(link, struct session, link);
        next = link->next;
        if (session_early(session) == 0) /* else it ends with the next answer */
            session_finish(session, true);
    }
    http_server_each_guest(server, drain_guest, NULL);
    if (server->count == 0)
        on_empty(server);
}

void http_server_set_limits(struct http_server *server, const struct http_limits *limits)
{
    uint64_t now_ms = loop_now_ms(server->loop);
    uint32_t old_ms = server->limits.idle_ms;
    server->limits = *limits;
    server->limits.input = server->loop->input;
    list_each (link, &server->idle) {
        struct session *session = container_of(link, struct session, link);
        uint64_t due_ms = session->deadline.due_ms - old_ms + limits->idle_ms;
        loop_set_deadline(server->loop, &session->deadline, due_ms > now_ms ? due_ms - now_ms : 0);
    }
}

void http_server_abort(struct http_server *server)
{
    close_all(&server->idle);
    close_all(&server->busy);
}
