/* The router: a tree of path segments, one per generation. Literal before typed ({int}, then
 * {pattern}) before parameter before splat, with backtracking; two definitions that could never be
 * told apart are an error.
 *
 * Patterns are written decoded and compared with the decoded path. A parameter holds one segment,
 * never an empty one; a splat holds the rest of the path, which may be empty. A slash at the end
 * counts: /a and /a/ are two routes. Different {patterns} at one place are tried in the order of
 * their definition; the same pattern text twice, like two parameters whatever their names, is a
 * tie. A method beats ANY in the same place. */
#ifndef HTTP_ROUTER_H
#define HTTP_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROUTER_MAX_PARAMS 16
#define ROUTER_MAX_MATCH \
    255 /* a longer segment matches no {lua pattern}: their time can grow with a power of it */

struct router;

/* Whether `text` matches constraint pattern number `pattern` (given out by the adder). */
typedef bool (*router_match_fn)(void *arg, int pattern, const char *text, size_t len);
/* What is wrong with a {lua pattern} ("malformed pattern (missing ']')"), or NULL. */
typedef const char *(*router_check_fn)(const char *pattern, size_t len);

struct router_param {
    const char *name;  /* owned by the router */
    const char *value; /* points into the path given to router_find */
    size_t len;
};

struct router_result {
    int route;      /* id, or -1: none */
    uint32_t allow; /* when -1: the methods that would match here (method_bit); 0 = 404 */
    int count;
    struct router_param params[ROUTER_MAX_PARAMS];
};

/* `check` may be NULL: then every {pattern} is taken as it is. */
struct router *router_new(router_match_fn match, router_check_fn check, void *arg);
void router_free(struct router *router);
/* Adds `method` ("GET", or "ANY") at the pattern `text`, "/" and segments: text, ":id", ":id{int}",
 * ":slug{[%w-]+}" (a Lua pattern for the whole segment) and, as the last, "*rest". `where`
 * ("app.lua:12") names the definition in errors. Each new {lua pattern} gets the next number,
 * counted from router_patterns() before the call. 0, or -1 with a full sentence in `error` and
 * nothing added. */
int router_add(struct router *router, const char *method, const char *text, int id,
               const char *where, char *error, size_t error_size);
int router_patterns(const struct router *router);               /* how many {lua patterns} so far */
const char *router_pattern(const struct router *router, int i); /* the text of one */
/* `path` is the decoded path. HEAD finds GET; a method that is none of ours finds only ANY.
 * Allocates nothing. */
void router_find(const struct router *router, const char *method, size_t method_len,
                 const char *path, size_t len, struct router_result *result);

#endif
