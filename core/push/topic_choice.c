/* What somebody subscribes to: topics and names of topics, opened together. */
#include "push/topic_choice.h"

#include "live/cursor.h"
#include "live/feed.h"
#include "live/hub.h"
#include "live/outlet.h"
#include "push/bind_topic.h"
#include "task/vm.h"

#include <errno.h>
#include <lauxlib.h>

static struct hub *vm_hub(lua_State *L)
{
    return outlet_hub(vm_of(L)->options.outlet);
}

static void check_one(lua_State *L, int index)
{
    size_t len;
    if (lua_type(L, index) != LUA_TSTRING) {
        bind_topic_check(L, index);
        return;
    }
    const char *name = lua_tolstring(L, index, &len);
    bind_topic_check_name(L, name, len);
}

void topic_choice_check(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TTABLE) {
        check_one(L, index);
        return;
    }
    lua_Integer count = (lua_Integer)lua_rawlen(L, index);
    if (count == 0 || count > TOPICS_MAX)
        luaL_error(L, "a subscription is to 1 to %d topics", TOPICS_MAX);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, index, i);
        check_one(L, lua_gettop(L));
        lua_pop(L, 1);
    }
}

static struct topic *hold_one(lua_State *L, int index)
{
    size_t len;
    if (lua_type(L, index) == LUA_TSTRING) {
        const char *name = lua_tolstring(L, index, &len);
        return topic_open(vm_hub(L), name, len, NULL);
    }
    struct topic *topic = bind_topic_at(L, index);
    return topic ? topic_hold(topic) : NULL;
}

static bool open_one(lua_State *L, int index, struct topic_choice *choice)
{
    struct topic *topic = hold_one(L, index);
    if (topic)
        choice->topics[choice->count++] = topic; /* twice the same does no harm: see feed_open */
    return topic != NULL;
}

bool topic_choice_open(lua_State *L, int index, struct topic_choice *choice)
{
    choice->count = 0;
    if (lua_type(L, index) != LUA_TTABLE)
        return open_one(L, index, choice);
    lua_Integer count = (lua_Integer)lua_rawlen(L, index);
    bool is_open = true;
    for (lua_Integer i = 1; i <= count && is_open; i++) {
        lua_rawgeti(L, index, i);
        is_open = open_one(L, lua_gettop(L), choice);
        lua_pop(L, 1);
    }
    if (!is_open)
        topic_choice_drop(choice);
    return is_open;
}

void topic_choice_drop(struct topic_choice *choice)
{
    while (choice->count > 0)
        topic_drop(choice->topics[--choice->count]);
}

int topic_choice_start(lua_State *L, struct topic_choice *choice, const char *cursor, size_t len)
{
    struct hub *hub = vm_hub(L);
    uint64_t epoch;
    choice->is_foreign = false;
    choice->cursor = hub_head(hub);
    if (!cursor)
        return 0;
    if (len == 1 && cursor[0] == '0') {
        choice->cursor = 0; /* "0": from the oldest that is left */
        return 0;
    }
    if (cursor_parse(cursor, len, &epoch, &choice->cursor) < 0)
        return -EINVAL;
    if (epoch == hub_epoch(hub) && choice->cursor <= hub_head(hub))
        return 0;
    choice->is_foreign = true;
    choice->cursor = 0;
    return 0;
}

bool topic_choice_owes_gap(const struct topic_choice *choice)
{
    for (int i = 0; choice->is_foreign && i < choice->count; i++) {
        uint64_t lost = 0;
        struct message *message;
        if (topic_read(choice->topics[i], 0, UINT64_MAX, &message, 1, &lost) > 0)
            message_drop(message);
        if (lost > 0)
            return false;
    }
    return choice->is_foreign;
}
