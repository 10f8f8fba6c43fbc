/* `neap.topic`: publishing, and what a topic says of itself. Reading by a task is in bind_reader.c,
 * subscribing in topic_choice.c. A userdata holds a counted reference, which the collector
 * drops. */
#include "push/bind_topic.h"

#include "base/utf8.h"
#include "live/cursor.h"
#include "live/feed.h"
#include "live/hub.h"
#include "live/outlet.h"
#include "push/topic_choice.h"
#include "task/vm.h"
#include "value/binding.h"
#include "value/json.h"
#include "value/owned.h"
#include "value/units.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>

#define TOPIC_TYPE "neap.topic"
#define NAME_MAX_LENGTH 255
#define LISTING_TYPE "neap.topic_listing"
#define LISTED_MAX 1024

static struct hub *hub_of(lua_State *L)
{
    return outlet_hub(vm_of(L)->options.outlet);
}

/* What a userdata holds when there were too many topics to make this one: it is made when it is
 * used and there is room. */
struct late_topic {
    struct topic *topic; /* as in all of them; NULL: not yet */
    bool has_options;
    struct topic_options options;
    size_t len;
    char name[];
};

/* NULL: it has been made. */
static struct late_topic *late_at(lua_State *L, int index)
{
    struct late_topic *late = lua_touserdata(L, index);
    return late->topic || lua_rawlen(L, index) < sizeof(*late) ? NULL : late;
}

struct topic *bind_topic_at(lua_State *L, int index)
{
    struct topic **box = lua_touserdata(L, index);
    const struct late_topic *late = late_at(L, index);
    if (late)
        *box =
            topic_open(hub_of(L), late->name, late->len, late->has_options ? &late->options : NULL);
    return *box;
}

struct topic *bind_topic_check(lua_State *L, int index)
{
    luaL_checkudata(L, index, TOPIC_TYPE);
    return bind_topic_at(L, index);
}

void bind_topic_check_name(lua_State *L, const char *name, size_t len)
{
    if (len == 0 || len > NAME_MAX_LENGTH || !utf8_is_valid(name, len))
        luaL_error(L, "a topic's name is 1 to %d bytes of UTF-8", NAME_MAX_LENGTH);
}

static void push_late(lua_State *L, const char *name, size_t len,
                      const struct topic_options *options)
{
    struct late_topic *late = lua_newuserdatauv(L, sizeof(*late) + len, 0);
    *late = (struct late_topic){.has_options = options != NULL, .len = len};
    if (options)
        late->options = *options;
    memcpy(late->name, name, len);
    luaL_setmetatable(L, TOPIC_TYPE);
}

static void push_topic(lua_State *L, const char *name, size_t len,
                       const struct topic_options *options)
{
    bind_topic_check_name(L, name, len);
    struct topic **box = lua_newuserdatauv(L, sizeof(*box), 0);
    *box = NULL;
    luaL_setmetatable(L, TOPIC_TYPE);
    *box = topic_open(hub_of(L), name, len, options);
    if (*box == NULL)
        push_late(L, name, len, options);
}

static int topic_gc(lua_State *L)
{
    struct topic **box = luaL_checkudata(L, 1, TOPIC_TYPE);
    if (*box)
        topic_drop(*box);
    *box = NULL;
    return 0;
}

void bind_topic_push_cursor(lua_State *L, uint64_t seq)
{
    char text[CURSOR_SIZE];
    size_t len = cursor_format(text, hub_epoch(hub_of(L)), seq);
    lua_pushlstring(L, text, len);
}

/* ---- methods ---- */

static const char *bind_topic_text_option(lua_State *L, int index, const char *name, size_t *len)
{
    *len = 0;
    if (lua_getfield(L, index, name) == LUA_TNIL)
        return NULL;
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "publish: %s is a text", name);
    return lua_tolstring(L, -1, len); /* stays on the stack, so it lives */
}

static bool is_binary(struct topic *topic)
{
    struct topic_stats stats;
    topic_stats(topic, &stats);
    return stats.options.is_binary;
}

/* Reads the payload: text as it is, anything else as JSON (to be freed by the caller). */
static void payload_read(lua_State *L, struct topic *topic, struct publication *publication,
                         struct json_text *json)
{
    if (lua_type(L, 2) != LUA_TSTRING) {
        if (json_encode(L, 2, json) < 0)
            luaL_argerror(L, 2, json->error);
        publication->form = MESSAGE_JSON;
        publication->data = json->data;
        publication->len = json->len;
        return;
    }
    publication->data = lua_tolstring(L, 2, &publication->len);
    publication->form = is_binary(topic) ? MESSAGE_BINARY : MESSAGE_TEXT;
    if (publication->form == MESSAGE_TEXT && !utf8_is_valid(publication->data, publication->len))
        luaL_argerror(L, 2, "the text is not UTF-8; open the topic with binary = true for bytes");
}

static void check_event(lua_State *L, const char *event, size_t len)
{
    if (event && (memchr(event, '\n', len) || memchr(event, '\r', len) || memchr(event, '\0', len)))
        luaL_error(L, "publish: an event's name is one line");
}

static int push_published(lua_State *L, int err, const struct published *published)
{
    if (err == 0) {
        bind_topic_push_cursor(L, published->seq);
        lua_pushinteger(L, published->subscribers);
        return 2;
    }
    lua_pushnil(L);
    switch (err) {
    case -EPIPE: lua_pushliteral(L, "closed"); break;
    case -EMSGSIZE: lua_pushliteral(L, "too_large"); break;
    case -ENOSPC: lua_pushliteral(L, "full"); break;
    default: lua_pushstring(L, strerror(-err)); break;
    }
    return 2;
}

/* t:publish(value [, {event=, key=, dedupe=}]) -> cursor, subscribers | nil, "closed" |
 * "too_large" | "full" */
static int topic_lua_publish(lua_State *L)
{
    struct topic *topic = bind_topic_check(L, 1);
    struct publication publication = {0};
    struct json_text json = {0};
    struct published published = {0};
    luaL_checkany(L, 2);
    if (!lua_isnoneornil(L, 3)) {
        luaL_checktype(L, 3, LUA_TTABLE);
        publication.event = bind_topic_text_option(L, 3, "event", &publication.event_len);
        publication.key = bind_topic_text_option(L, 3, "key", &publication.key_len);
        publication.dedupe = bind_topic_text_option(L, 3, "dedupe", &publication.dedupe_len);
        check_event(L, publication.event, publication.event_len);
    }
    if (topic == NULL)
        return push_published(L, -ENOSPC, NULL);
    payload_read(L, topic, &publication, &json);
    int err = topic_publish(topic, &publication, &published);
    json_free(&json);
    return push_published(L, err, &published);
}

/* t:cursor() -> the place behind everything that was published so far */
static int topic_lua_cursor(lua_State *L)
{
    luaL_checkudata(L, 1, TOPIC_TYPE);
    bind_topic_push_cursor(L, hub_head(hub_of(L)));
    return 1;
}

/* t:close() */
static int topic_lua_close(lua_State *L)
{
    struct topic *topic = bind_topic_check(L, 1);
    if (topic)
        topic_close(topic);
    return 0;
}

static void set_number(lua_State *L, const char *name, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static void push_stats(lua_State *L, struct topic *topic)
{
    static const char *const kinds[] = {"polls", "sse", "websockets", "readers"};
    struct topic_stats stats = {0};
    if (topic)
        topic_stats(topic, &stats);
    lua_newtable(L);
    bind_topic_push_cursor(L, stats.head);
    lua_setfield(L, -2, "head");
    set_number(L, "messages", stats.count);
    set_number(L, "bytes", stats.bytes);
    set_number(L, "published", stats.published);
    set_number(L, "dropped", stats.dropped);
    set_number(L, "gaps", stats.gaps);
    set_number(L, "subscribers", stats.subscribers);
    for (int i = 0; i < 4; i++)
        set_number(L, kinds[i], stats.readers[i]);
}

/* t:stats() -> {head, messages, bytes, published, dropped, gaps, subscribers, polls, sse,
 * websockets, readers} */
static int topic_lua_stats(lua_State *L)
{
    push_stats(L, bind_topic_check(L, 1));
    return 1;
}

/* t:name() -> text */
static int topic_lua_name(lua_State *L)
{
    const struct topic *topic = bind_topic_check(L, 1);
    const struct late_topic *late = late_at(L, 1);
    size_t len = late ? late->len : 0;
    const char *name = topic ? topic_name(topic, &len) : late ? late->name : "";
    lua_pushlstring(L, name, len);
    return 1;
}

/* ---- opening ---- */

static enum slow_policy slow_option(lua_State *L, int index)
{
    static const char *const words[] = {"gap", "latest", "close", NULL};
    lua_getfield(L, index, "slow");
    enum slow_policy slow = (enum slow_policy)luaL_checkoption(L, -1, "gap", words);
    lua_pop(L, 1);
    return slow;
}

static void options_read(lua_State *L, int index, struct topic_options *options)
{
    topic_options_init(options);
    if (lua_getfield(L, index, "keep") != LUA_TNIL) {
        lua_Integer keep = luaL_checkinteger(L, -1);
        luaL_argcheck(L, keep >= 1 && keep <= 1000000, index, "keep is 1 to 1,000,000 messages");
        options->keep = (uint32_t)keep;
    }
    if (lua_getfield(L, index, "bytes") != LUA_TNIL)
        options->bytes = units_check_size(L, -1);
    if (lua_getfield(L, index, "ttl") != LUA_TNIL)
        options->ttl_ms = (uint32_t)units_check_duration(L, -1);
    lua_getfield(L, index, "binary");
    options->is_binary = lua_toboolean(L, -1);
    lua_pop(L, 4);
    options->slow = slow_option(L, index);
}

/* core.topic(name [, {keep=, bytes=, ttl=, slow=, binary=}]) -> topic */
static int core_topic(lua_State *L)
{
    size_t len;
    struct topic_options options;
    const char *name = luaL_checklstring(L, 1, &len);
    bool has_options = !lua_isnoneornil(L, 2);
    if (has_options) {
        luaL_checktype(L, 2, LUA_TTABLE);
        options_read(L, 2, &options);
    }
    push_topic(L, name, len, has_options ? &options : NULL);
    return 1;
}

/* core.is_cursor(text) -> whether it looks like one that a topic gave out */
static int core_is_cursor(lua_State *L)
{
    size_t len;
    struct topic_choice choice;
    const char *text = luaL_checklstring(L, 1, &len);
    lua_pushboolean(L, topic_choice_start(L, &choice, text, len) == 0);
    return 1;
}

/* core.topic_use() -> {bytes=, bytes_most=, topics=, topics_most=} of all topics together */
static int core_topic_use(lua_State *L)
{
    struct hub_use use;
    hub_use(hub_of(L), &use);
    lua_createtable(L, 0, 4);
    set_number(L, "bytes", use.bytes);
    set_number(L, "bytes_most", use.bytes_most);
    set_number(L, "topics", use.topics);
    set_number(L, "topics_most", use.topics_most);
    return 1;
}

/* A userdata, so that what it holds is dropped whatever raises meanwhile. */
struct listing {
    struct topic *topics[LISTED_MAX];
    int count;
};

static int listing_gc(lua_State *L)
{
    struct listing *listing = lua_touserdata(L, 1);
    while (listing->count > 0)
        topic_drop(listing->topics[--listing->count]);
    return 0;
}

static struct listing *listing_push(lua_State *L)
{
    struct listing *listing = lua_newuserdatauv(L, sizeof(*listing), 0);
    listing->count = 0;
    owned_set_type(L, LISTING_TYPE, listing_gc);
    lua_toclose(L, -1);
    return listing;
}

static void list_one(struct topic *topic, void *arg)
{
    struct listing *listing = arg;
    if (listing->count < LISTED_MAX)
        listing->topics[listing->count++] = topic_hold(topic);
}

/* core.topic_list() -> list of stats with a name each; at most 1,024 */
static int core_topic_list(lua_State *L)
{
    struct listing *listing = listing_push(L);
    hub_each(hub_of(L), list_one, listing);
    lua_newtable(L);
    for (int i = 0; i < listing->count; i++) {
        size_t len;
        const char *name = topic_name(listing->topics[i], &len);
        push_stats(L, listing->topics[i]);
        lua_pushlstring(L, name, len);
        lua_setfield(L, -2, "name");
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static int bind_topic(lua_State *L)
{
    static const luaL_Reg methods[] = {{"publish", topic_lua_publish}, {"cursor", topic_lua_cursor},
                                       {"close", topic_lua_close},     {"stats", topic_lua_stats},
                                       {"name", topic_lua_name},       {NULL, NULL}};
    luaL_newmetatable(L, TOPIC_TYPE);
    luaL_newlib(L, methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -4, "topic_methods"); /* stack: core, metatable, methods */
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, topic_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    lua_pushcfunction(L, core_topic);
    lua_setfield(L, -2, "topic");
    lua_pushcfunction(L, core_topic_list);
    lua_setfield(L, -2, "topic_list");
    lua_pushcfunction(L, core_topic_use);
    lua_setfield(L, -2, "topic_use");
    lua_pushcfunction(L, core_is_cursor);
    lua_setfield(L, -2, "is_cursor");
    return 0;
}

BINDING(bind_topic)
