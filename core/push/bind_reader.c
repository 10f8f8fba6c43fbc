/* A task that reads topics: t:wait. The reader is a feed that closes with the first batch it
 * gets. */
#include "live/feed.h"
#include "push/bind_topic.h"
#include "push/topic_choice.h"
#include "task/task.h"
#include "task/vm.h"
#include "value/binding.h"
#include "value/json.h"
#include "value/owned.h"
#include "value/units.h"

#include <errno.h>
#include <lauxlib.h>

#define READER_TYPE "neap.reader"
#define READ_MAX 64
#define SETTLE_MS 20 /* what is there already comes before a timeout of 0 */

enum reader_outcome { READER_NOTHING, READER_MESSAGES, READER_GAP, READER_CLOSED };

struct reader {
    struct feed feed;
    struct wait *wait;
    struct message *messages[READ_MAX]; /* held */
    int count;
    int limit;
    uint64_t cursor;
    enum reader_outcome outcome;
    bool wants_cursors;
};

static void reader_end(struct reader *reader, enum reader_outcome outcome)
{
    struct wait *wait = reader->wait;
    reader->outcome = outcome;
    reader->wait = NULL;
    feed_close(&reader->feed);
    if (wait)
        task_wake_wait(wait, 0);
}

static int bind_reader_on_messages(struct feed *feed, struct batch *batch)
{
    struct reader *reader = container_of(feed, struct reader, feed);
    int count = batch->count < reader->limit ? batch->count : reader->limit;
    for (int i = 0; i < count; i++)
        reader->messages[i] = message_hold(batch->messages[i]);
    reader->count = count;
    reader->cursor = count == batch->count ? batch->head : batch->messages[count - 1]->seq;
    reader_end(reader, READER_MESSAGES);
    return count;
}

static void bind_reader_on_gap(struct feed *feed, uint64_t cursor)
{
    struct reader *reader = container_of(feed, struct reader, feed);
    reader->cursor = cursor;
    reader_end(reader, READER_GAP);
}

static void bind_reader_on_end(struct feed *feed, bool is_slow)
{
    (void)is_slow;
    reader_end(container_of(feed, struct reader, feed), READER_CLOSED);
}

static const struct feed_events reader_events = {bind_reader_on_messages, bind_reader_on_gap,
                                                 bind_reader_on_end};

static int reader_gc(lua_State *L)
{
    struct reader *reader = lua_touserdata(L, 1);
    feed_close(&reader->feed);
    for (int i = 0; i < reader->count; i++)
        message_drop(reader->messages[i]);
    reader->count = 0;
    return 0;
}

static int push_nothing(lua_State *L, const char *why, uint64_t cursor)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    bind_topic_push_cursor(L, cursor);
    return 3;
}

/* A list of the cursors behind each message. */
static int push_cursors(lua_State *L, const struct reader *reader)
{
    lua_createtable(L, reader->count, 0);
    for (int i = 0; i < reader->count; i++) {
        bind_topic_push_cursor(L, reader->messages[i]->seq);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static int push_messages(lua_State *L, struct reader *reader)
{
    lua_createtable(L, reader->count, 0);
    for (int i = 0; i < reader->count; i++) {
        const struct message *message = reader->messages[i];
        int top = lua_gettop(L);
        if (message->form == MESSAGE_JSON)
            json_push_decoded(L, message->data, message->len);
        else
            lua_pushlstring(L, message->data, message->len);
        lua_settop(L, top + 1);
        lua_rawseti(L, -2, i + 1);
    }
    bind_topic_push_cursor(L, reader->cursor);
    return reader->wants_cursors ? push_cursors(L, reader) + 2 : 2;
}

static int wait_finish(lua_State *L, struct wait *wait)
{
    struct reader *reader = wait->source;
    switch (reader->outcome) {
    case READER_MESSAGES: return push_messages(L, reader);
    case READER_GAP: return push_nothing(L, "gap", reader->cursor);
    case READER_CLOSED: return push_nothing(L, "closed", reader->feed.cursor);
    case READER_NOTHING: break;
    }
    return push_nothing(L, "timeout", reader->feed.cursor);
}

static void wait_undo(struct wait *wait)
{
    struct reader *reader = wait->source;
    reader->wait = NULL;
    feed_close(&reader->feed);
}

static struct reader *reader_push(lua_State *L)
{
    struct reader *reader = lua_newuserdatauv(L, sizeof(*reader), 0);
    *reader = (struct reader){.limit = READ_MAX};
    owned_set_type(L, READER_TYPE, reader_gc);
    return reader;
}

static int limit_option(lua_State *L)
{
    lua_getfield(L, 2, "limit");
    lua_Integer limit = luaL_optinteger(L, -1, READ_MAX);
    luaL_argcheck(L, limit > 0, 2, "limit: how many messages at most, from 1");
    lua_pop(L, 1);
    return limit < READ_MAX ? (int)limit : READ_MAX;
}

static uint64_t timeout_option(lua_State *L)
{
    lua_getfield(L, 2, "timeout");
    uint64_t timeout_ms = lua_isnil(L, -1) ? WAIT_FOREVER : units_check_duration(L, -1);
    lua_pop(L, 1);
    return timeout_ms;
}

static void start_option(lua_State *L, struct topic_choice *choice)
{
    size_t len = 0;
    lua_getfield(L, 2, "after");
    const char *after = lua_isnil(L, -1) ? NULL : luaL_checklstring(L, -1, &len);
    if (topic_choice_start(L, choice, after, len) < 0)
        luaL_argerror(L, 2, "after: no cursor that a topic gave out");
    lua_pop(L, 1);
}

/* core.topic_wait(topics, {after=, timeout=, limit=, cursors=}) -> items, cursor, a cursor for each
 * when cursors = true | nil, "timeout" | "gap" | "closed" | "full",
 * cursor */
static int core_topic_wait(lua_State *L)
{
    struct topic_choice choice;
    lua_settop(L, 2);
    if (lua_isnil(L, 2)) {
        lua_newtable(L);
        lua_replace(L, 2);
    }
    luaL_checktype(L, 2, LUA_TTABLE);
    uint64_t timeout_ms = timeout_option(L);
    int limit = limit_option(L);
    bool wants_cursors = lua_getfield(L, 2, "cursors") == LUA_TBOOLEAN;
    lua_pop(L, 1);
    start_option(L, &choice);
    uint64_t cursor = choice.cursor;
    bool is_foreign = choice.is_foreign;
    topic_choice_check(L, 1);
    if (is_foreign)
        return push_nothing(L, "gap", cursor);

    struct reader *reader = reader_push(L);
    reader->limit = limit;
    reader->wants_cursors = wants_cursors;
    if (!topic_choice_open(L, 1, &choice))
        return push_nothing(L, "full", cursor);
    feed_open(&reader->feed, vm_of(L)->options.outlet, &reader_events, FEED_READER, choice.topics,
              choice.count, cursor, SLOW_GAP);
    topic_choice_drop(&choice);
    struct wait *wait = task_wait(L);
    wait->undo = wait_undo;
    wait->finish = wait_finish;
    wait->source = reader;
    reader->wait = wait;
    if (reader->feed.queued.number && timeout_ms < SETTLE_MS)
        timeout_ms = SETTLE_MS;
    return task_park(L, timeout_ms);
}

static int bind_reader(lua_State *L)
{
    lua_pushcfunction(L, core_topic_wait);
    lua_setfield(L, -2, "topic_wait");
    return 0;
}

BINDING(bind_reader)
