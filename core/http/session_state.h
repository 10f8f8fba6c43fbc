/* What session.c (the life of a session), reading.c (what comes in), guest.c (who has it meanwhile)
 * and http_server.c (who leaves when there is no room) share. Of others only ws/ws_state.h includes
 * this. */
#ifndef HTTP_SESSION_STATE_H
#define HTTP_SESSION_STATE_H

#include "base/bytes.h"
#include "base/list.h"
#include "http/guest.h"
#include "http/session.h"
#include "net/conn.h"

struct session {
    struct conn conn;
    struct http_server *server;
    struct request *request; /* being read or answered; NULL between requests */
    struct guest *guest;     /* who has the connection instead; see guest.h */
    struct list link;        /* in server->idle or server->busy */
    struct deadline deadline;
    struct early *early; /* what came in before its time; NULL: nothing */
    uint8_t blank;       /* CR LF bytes seen before a request line */
};

/* Bytes behind the request that is being answered, that a guest cannot take yet, or for which there
 * was no time in this turn. Made when there are some, so an idle connection carries a pointer
 * only. */
struct early {
    struct bytes bytes;
};

static inline struct session *session_of(struct conn *conn)
{
    return container_of(conn, struct session, conn);
}

/* session.c: */
struct request *session_begin(struct session *session);
void session_next(struct session *session); /* the request is answered, read and logged */
/* Ends the connection in the middle of a body that nobody wants. The answer still arrives. */
void session_leave_unread(struct session *session);
/* Answers a request that breaks the rules and ends the connection. */
void session_refuse(struct session *session, int status);

/* Ends the connection after an answer. What the client may still be sending would turn our close
 * into a reset that takes the answer with it, so then we linger. */
void session_finish(struct session *session, bool is_clean);
void session_close(struct session *session);

/* reading.c: */
void session_on_data(struct conn *conn, const char *data, size_t len);
void session_put_early(struct session *session, const char *data, size_t len);
void session_drop_early(struct session *session);
void session_defer_early(struct session *session); /* it is taken when it is our turn */
void session_on_turn(struct conn *conn);
static inline size_t session_early(const struct session *session)
{
    return session->early ? session->early->bytes.len : 0;
}
void session_watch_body(struct session *session); /* from here on the body has to come at a rate */

#endif
