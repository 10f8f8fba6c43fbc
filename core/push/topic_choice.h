/* What somebody subscribes to: topics, and from where in them. */
#ifndef PUSH_TOPIC_CHOICE_H
#define PUSH_TOPIC_CHOICE_H

#include "live/topic.h"

#include <lua.h>
#include <stdbool.h>

#define TOPICS_MAX 32 /* in one subscription */

/* What somebody subscribes to, and from where. */
struct topic_choice {
    struct topic *topics[TOPICS_MAX]; /* held from topic_choice_open to topic_choice_drop */
    int count;
    uint64_t cursor;
    bool is_foreign; /* the cursor given was of another epoch, or none that we gave out: a gap */
};

/* A topic, a name, or a list of either at `index`: first checked, which may raise, then opened,
 * which does not; nothing may raise until the references are dropped. False: there are too many
 * topics to make one; nothing is held. */
void topic_choice_check(lua_State *L, int index);
bool topic_choice_open(lua_State *L, int index, struct topic_choice *choice);
void topic_choice_drop(struct topic_choice *choice);
/* Sets the cursor from text: 0, or -EINVAL. NULL: from now on. "0": from the oldest that is
 * left. */
int topic_choice_start(lua_State *L, struct topic_choice *choice, const char *cursor, size_t len);
/* Whether the subscriber has to be told of a gap by us: the cursor is foreign, and no topic has
 * lost anything, so that its feed sees none. */
bool topic_choice_owes_gap(const struct topic_choice *choice);

#endif
