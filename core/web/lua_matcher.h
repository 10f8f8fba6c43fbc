/* Lua patterns matched in steps that are at most the length of the text times that of the pattern,
 * where string.find may need its power: it tries one way after the other, and a client chooses the
 * text. */
#ifndef WEB_LUA_MATCHER_H
#define WEB_LUA_MATCHER_H

#include <stdbool.h>
#include <stddef.h>

struct lua_matcher;

/* Why a pattern whose syntax is right could take too long, or NULL. */
const char *lua_matcher_check(const char *pattern, size_t len);
/* NULL: it has a %b or a back reference, for which there is string.find. */
struct lua_matcher *lua_matcher_new(const char *pattern, size_t len);
void lua_matcher_free(struct lua_matcher *matcher); /* NULL is allowed */
/* Whether the whole text matches. */
bool lua_matcher_matches(const struct lua_matcher *matcher, const char *text, size_t len);

#endif
