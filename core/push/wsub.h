/* The topics that a WebSocket is subscribed to. */
#ifndef PUSH_WSUB_H
#define PUSH_WSUB_H

#include "live/feed.h"
#include "push/topic_choice.h"

struct vm;
struct wsock;

/* One subscription. */
struct wsub {
    struct feed feed; /* its owner_ref: the visits, see visit.h */
    struct wsock *wsock;
    struct wsub *next; /* in wsock->subs */
};

/* Subscribes; `slow` < 0: the topic's own policy. Takes the visits (0: none). False: topics and
 * subscriptions take as much memory as they may, and nothing was done. */
bool wsub_open(struct wsock *wsock, const struct topic_choice *choice, bool is_envelope, int slow,
               int visits);
/* False: there is no such subscription. */
bool wsub_close(struct wsock *wsock, const struct topic *topic);
void wsub_close_all(struct wsock *wsock);
void wsub_move_all(struct wsock *wsock, struct vm *to); /* from wsock->vm */
void wsub_resume_all(struct wsock *wsock);

#endif
