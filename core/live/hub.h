/* The hub: the set of all topics of the process, and what they may take. The server owns it. */
#ifndef LIVE_HUB_H
#define LIVE_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hub;
struct topic;

struct hub *hub_new(void);      /* with a random epoch, and without limits */
void hub_free(struct hub *hub); /* no outlet and no reference to a topic may be left */
/* Bytes that all topics together may keep, and how many topics there may be. What is there
 * stays. */
void hub_set_limits(struct hub *hub, uint64_t bytes, size_t topics);
/* Bytes that are counted against the first of them. */
void hub_take(struct hub *hub, uint64_t bytes);
void hub_give(struct hub *hub, uint64_t bytes);
bool hub_has_room(struct hub *hub); /* false: counted as a refusal, and logged */
struct hub_use {
    uint64_t bytes, bytes_most;
    size_t topics, topics_most;
};
void hub_use(struct hub *hub, struct hub_use *use);
uint64_t hub_epoch(const struct hub *hub);
uint64_t hub_head(const struct hub *hub); /* the newest seq of any topic: a cursor taken now */
/* Removes messages that have outlived their ttl, and topics without references that are empty (a
 * closed one is remembered for one ttl more). Looks at a bounded part of the topics and goes on
 * there the next time. Called now and then, from any one thread. */
void hub_sweep(struct hub *hub, uint64_t now_ms);
/* For tests, before anything else; monotonic. */
void hub_set_clock(struct hub *hub, uint64_t (*now_ms)(void));
/* Calls fn for every topic, by name; the topic is held during the call. */
void hub_each(struct hub *hub, void (*fn)(struct topic *topic, void *arg), void *arg);

#endif
