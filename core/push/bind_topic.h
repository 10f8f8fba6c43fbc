/* `neap.topic`: publishing, and reading by a task. */
#ifndef PUSH_BIND_TOPIC_H
#define PUSH_BIND_TOPIC_H

#include "live/topic.h"

#include <lua.h>
#include <stdbool.h>

void bind_topic_check_name(lua_State *L, const char *name, size_t len); /* raises */
/* The one of the userdata at `index`. NULL: there are too many topics to make it. */
struct topic *bind_topic_at(lua_State *L, int index);
/* The same, raises when it is something else. */
struct topic *bind_topic_check(lua_State *L, int index);
/* The text of a cursor in this process. */
void bind_topic_push_cursor(lua_State *L, uint64_t seq);

#endif
