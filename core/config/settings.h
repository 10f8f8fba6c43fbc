/* Settings on their way between C and Lua: reads config.lua in a throw-away Lua state and hands out
 * its values as dotted keys and text; pushes effective settings as nested tables. What keys mean is
 * known above (config.c). */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include "base/bytes.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One value of block `block` of the file: "limits.body" = "2MB". `index` is 0, or counts the items
 * of a list from 1. A number arrives as text: a duration without a unit means seconds, a size means
 * bytes. */
struct settings_value {
    const char *block;
    const char *key;
    int index;
    const char *text;
};

struct settings_reader {
    /* Which blocks are wanted, in order: a later one is read later. NULL at the end. */
    const char *const *blocks;
    /* 0 to go on, -1 after putting a sentence in `error`. */
    int (*on_value)(void *arg, const struct settings_value *value, struct bytes *error);
    /* A block that is not wanted, or a value beside the blocks. May refuse as above. */
    int (*on_other)(void *arg, const char *name, bool is_table, struct bytes *error);
    void *arg;
};

/* Runs `file` (text only). The free block `app` is left out: neap.config reads it in each state.
 * 0, or -1 with a sentence in `error`. */
int settings_read(const char *file, const struct settings_reader *reader, struct bytes *error);

enum setting_type { SETTING_INTEGER, SETTING_SECONDS, SETTING_BOOL, SETTING_TEXT, SETTING_LIST };

/* An effective value, for Lua. Everything it points at belongs to the caller. */
struct setting {
    const char *key; /* dotted */
    enum setting_type type;
    uint64_t number; /* also milliseconds, for SETTING_SECONDS, and 0 or 1 */
    const char *text;
    char *const *items;
    size_t count;
};

/* Pushes a table: timeouts.drain of `settings` is t.timeouts.drain. May raise (memory). */
void settings_push(lua_State *L, const struct setting *settings, size_t count);

#endif
