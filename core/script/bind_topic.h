/* `neap.topic`: publishing, and reading by a task. */
#ifndef SCRIPT_BIND_TOPIC_H
#define SCRIPT_BIND_TOPIC_H

#include "live/topic.h"

#include <lua.h>
#include <stdbool.h>

#define TOPICS_MAX 32 /* in one subscription */

/* What somebody subscribes to, and from where. */
struct topic_choice {
    struct topic *topics[TOPICS_MAX]; /* the references are the userdatas', which are on the stack
                                       */
    int count;
    uint64_t cursor;
    bool is_foreign; /* the cursor given was of another epoch, or none that we gave out: a gap */
};

struct topic *topic_check(lua_State *L, int index); /* raises */
/* Reads a topic, a name, or a list of either at `index`. Names are opened, and their userdatas
 * pushed: count on the stack growing. Raises. */
void topic_choice_read(lua_State *L, int index, struct topic_choice *choice);
/* Sets the cursor from text: 0, or -EINVAL. NULL: from now on. "0": from the oldest that is left.
 */
int topic_choice_start(lua_State *L, struct topic_choice *choice, const char *cursor, size_t len);
/* Whether the subscriber has to be told of a gap by us: the cursor is foreign, and no topic has
 * lost anything, so that its feed sees none. */
bool topic_choice_owes_gap(const struct topic_choice *choice);
/* The text of a cursor in this process. */
void topic_push_cursor(lua_State *L, uint64_t seq);

#endif
