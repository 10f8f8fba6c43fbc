/* A worker's HTTP server: its sessions, the requests that are alive, and whom to tell. The worker
 * owns it. */
#ifndef HTTP_HTTP_SERVER_H
#define HTTP_HTTP_SERVER_H

#include "base/list.h"
#include "base/slots.h"
#include "http/date.h"
#include "http/parser.h"
#include "http/request.h"
#include "net/loop.h"

struct guest;

/* What the rooms above are told. Each may answer, and so end, the request. */
struct http_events {
    size_t user_size; /* bytes that they keep with a request */
    /* The head is there (and all of a request without body). */
    void (*on_request)(struct request *rq);
    /* Body bytes, its end, or its failure (stage, body_error). */
    void (*on_body)(struct request *rq);
    void (*on_writable)(struct request *rq); /* what was written has left */
    void (*on_left)(struct request *rq);     /* the client has left, or ended its side: once */
    void (*on_gone)(struct request *rq);     /* it has lost its connection: once */
    void (*on_log)(struct request *rq);      /* for the access log, once per request; NULL = off */
    /* A crowd has left: what can be freed should be; NULL = nothing. */
    void (*on_trim)(void *owner);
};

/* The first member of what lasts as long as the server. */
struct http_shared {
    void (*free)(struct http_shared *shared);
};

struct http_server {
    struct loop *loop;
    struct http_limits limits;
    struct http_events events;
    void *owner;      /* who answers requests that begin now */
    struct list idle; /* sessions between requests, oldest first */
    struct list busy;
    uint32_t count; /* sessions */
    /* While session_feed (reading.c) runs, for one session at a time: whose bytes it is, and how
     * many are behind what the parser has taken. Else NULL and 0. What the parser finds is dealt
     * with above it on the C stack: handlers, answers, the end of a request. Whoever ends one there
     * starts no reading, as session_feed goes on by itself; and a connection that closes while
     * bytes are unfed has to linger. What is not fed at its end is the session's `early`. */
    struct session *feeding;
    size_t unfed;
    uint32_t crowd;       /* the most there were since memory was last given back */
    uint32_t staying;     /* sessions when the trim was last looked at */
    struct deadline trim; /* gives it back, some time after a crowd has left */
    struct slots requests;
    struct request *free_requests[64];
    uint32_t free_count;
    uint32_t last_id;
    struct date_cache date;
    struct bytes head;          /* the answer head that is being written */
    struct http_shared *shared; /* what guests of a kind share, NULL until they do */
    bool is_draining;
    void (*on_empty)(struct http_server *server); /* draining and the last session has gone */
    uint64_t total_requests;
};

void http_server_init(struct http_server *server, struct loop *loop,
                      const struct http_limits *limits, const struct http_events *events,
                      void *owner);
void http_server_deinit(struct http_server *server); /* no session may be left */

void http_server_enter(struct http_server *server); /* one more session */
void http_server_leave(struct http_server *server); /* one less, freed by now */

struct request *http_server_new_request(struct http_server *server); /* for a session to fill in */
/* NULL: it is over. */
struct request *http_server_find_request(struct http_server *server, slot_handle handle);
void http_server_free_request(struct request *rq); /* no session has it any more */
/* Gives it a new handle: those given out so far are dead. */
void http_server_renew_request(struct request *rq);
/* Calls visit for each request that is being answered. It may end that. */
void http_server_each_request(struct http_server *server,
                              void (*visit)(struct request *rq, void *arg), void *arg);
/* Calls visit for each guest. It may close the guest's connection or make the guest leave. */
void http_server_each_guest(struct http_server *server,
                            void (*visit)(struct guest *guest, void *arg), void *arg);

/* From now on; a session between two requests has the new time for that. */
void http_server_set_limits(struct http_server *server, const struct http_limits *limits);

/* The end: */
void http_server_drain(struct http_server *server, void (*on_empty)(struct http_server *server));
void http_server_abort(struct http_server *server); /* close every connection now */
/* Closes the session that is idle for longest and was not asked again. False: there is none. */
bool http_server_evict(struct http_server *server);

#endif
