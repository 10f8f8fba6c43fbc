/* A guest: who has a connection while no request does. A parked poll, an event stream, a WebSocket.
 * The session has no parser, no head and no request meanwhile, and tells its guest everything. A
 * guest is a member of its owner's object. */
#ifndef HTTP_GUEST_H
#define HTTP_GUEST_H

#include "http/request.h"
#include "net/conn.h"

struct guest;
struct session;

struct guest_events {
    /* Bytes from the peer, valid during the call. NULL: they are kept for the next request. */
    void (*on_data)(struct guest *guest, const char *data, size_t len);
    /* Goes on with what it had put aside (session_put_early); NULL when it never does. */
    void (*on_early)(struct guest *guest);
    void (*on_drained)(struct guest *guest);   /* what was written has left; may be NULL */
    void (*on_due)(struct guest *guest);       /* the time of guest_set_deadline has come */
    void (*on_new_owner)(struct guest *guest); /* somebody else answers from now on */
    void (*on_drain)(struct guest *guest); /* the server is going to stop: say goodbye and leave */
    /* Its connection is gone, and it has none any more: last call. Frees it. */
    void (*on_gone)(struct guest *guest);
};

struct guest {
    const struct guest_events *events;
    struct session *session; /* NULL: has none (any more) */
    char *path;              /* of the request, while there is an access log */
    uint16_t route;
    bool is_http10;
    bool is_head;
    bool has_unread; /* a body that nobody read: what comes from the peer is no next request */
    bool wants_close;
    bool has_gap; /* for its owner, as is the next: they fill what would be padding */
    uint8_t limit;
};

/* Takes the connection over from a request whose handler has returned. Set a deadline, or clear the
 * request's. The request goes on without one: its session_request_done comes as always. */
void guest_enter(struct guest *guest, const struct guest_events *events, struct request *rq);
/* Gives the connection back, to answer: a new request of the same kind, for response_... and then
 * session_request_done. The guest gets no more calls. */
struct request *guest_leave(struct guest *guest);
struct conn *guest_conn(struct guest *guest);
struct http_server *guest_server(const struct guest *guest);
void guest_set_deadline(struct guest *guest, uint64_t after_ms);
void guest_clear_deadline(struct guest *guest);
/* Has no connection from here on, and gets no more calls: what becomes of the connection is up to
 * the caller. No effect when it has none. */
void guest_part(struct guest *guest);

#endif
