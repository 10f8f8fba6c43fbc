/* The router: a tree with one level for each path segment. A search visits a node at most once,
 * because its depth says which segment it looks at: backtracking costs at most the size of the
 * tree. */
#include "http/router.h"

#include "base/mem.h"
#include "http/method.h"
#include "http/pattern.h"

#include <stdio.h>
#include <string.h>

struct route {
    int id;
    int params;
    char *names[ROUTER_MAX_PARAMS];
    char *text;  /* the pattern as written */
    char *where; /* its definition */
};

/* A place where paths may end: the routes there, by method. */
struct leaf {
    struct route *routes[METHODS];
    uint32_t allow; /* their bits, HEAD with GET, all with ANY */
};

struct literal {
    char *text;
    size_t len;
    struct node *node;
};

struct typed {
    int pattern;
    struct node *node;
};

struct node {
    struct literal *literals; /* sorted by length, then bytes */
    int literal_count;
    int typed_count;
    struct typed *typed; /* the {lua patterns}, in the order of their definition */
    struct node *integer;
    struct node *param;
    struct leaf *leaf;  /* of paths that end here, or NULL */
    struct leaf *splat; /* of whatever goes on from here, or NULL */
};

struct router {
    router_match_fn match;
    router_check_fn check;
    void *arg;
    struct node root;
    char **patterns;
    int pattern_count;
    uint32_t allow; /* of all routes */
};

/* ---- life ---- */

struct router *router_new(router_match_fn match, router_check_fn check, void *arg)
{
    struct router *router = mem_calloc(sizeof *router);
    router->match = match;
    router->check = check;
    router->arg = arg;
    return router;
}

static void leaf_free(struct leaf *leaf)
{
    for (int method = 0; leaf && method < METHODS; method++) {
        struct route *route = leaf->routes[method];
        if (!route)
            continue;
        for (int i = 0; i < route->params; i++)
            mem_free(route->names[i]);
        mem_free(route->text);
        mem_free(route->where);
        mem_free(route);
    }
    mem_free(leaf);
}

static void node_free(struct node *node);

/* Frees what the node holds, not the node. */
static void node_deinit(struct node *node)
{
    for (int i = 0; i < node->literal_count; i++) {
        mem_free(node->literals[i].text);
        node_free(node->literals[i].node);
    }
    for (int i = 0; i < node->typed_count; i++)
        node_free(node->typed[i].node);
    mem_free(node->literals);
    mem_free(node->typed);
    node_free(node->integer);
    node_free(node->param);
    leaf_free(node->leaf);
    leaf_free(node->splat);
}

static void node_free(struct node *node)
{
    if (!node)
        return;
    node_deinit(node);
    mem_free(node);
}

void router_free(struct router *router)
{
    if (!router)
        return;
    node_deinit(&router->root);
    for (int i = 0; i < router->pattern_count; i++)
        mem_free(router->patterns[i]);
    mem_free(router->patterns);
    mem_free(router);
}

int router_patterns(const struct router *router)
{
    return router->pattern_count;
}

const char *router_pattern(const struct router *router, int i)
{
    return router->patterns[i];
}

/* ---- finding ---- */

struct search {
    const struct router *router;
    enum method method;
    const char *end; /* of the path */
    uint32_t allow;  /* what other methods would have found */
    struct router_param *params;
};

static int literal_compare(const struct literal *literal, const char *text, size_t len)
{
    if (literal->len != len)
        return literal->len < len ? -1 : 1;
    return memcmp(literal->text, text, len);
}

/* Its index, or where it belongs as -1 - index. */
static int literal_index(const struct node *node, const char *text, size_t len)
{
    int low = 0;
    int high = node->literal_count;
    while (low < high) {
        int middle = (low + high) / 2;
        int order = literal_compare(&node->literals[middle], text, len);
        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1 - low;
}

/* -?%d+ that fits an int64_t. */
static bool is_integer(const char *text, size_t len)
{
    bool negative = len > 0 && text[0] == '-';
    const uint64_t most = (uint64_t)INT64_MAX + negative;
    uint64_t value = 0;
    if (len == (size_t)negative)
        return false;
    for (size_t i = negative; i < len; i++) {
        unsigned digit = (unsigned)(text[i] - '0');
        if (digit > 9 || value > (most - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    return true;
}

static const struct route *leaf_find(struct search *search, const struct leaf *leaf)
{
    if (!leaf)
        return NULL;
    const struct route *route = search->method < ANY ? leaf->routes[search->method] : NULL;
    if (!route && search->method == HEAD)
        route = leaf->routes[GET];
    if (!route)
        route = leaf->routes[ANY];
    if (!route)
        search->allow |= leaf->allow;
    return route;
}

static const struct route *node_find(struct search *search, const struct node *node, const char *at,
                                     int params);

/* The children whose segment is a parameter of some kind; `text` to `end` is the segment, not
 * empty. */
static const struct route *params_find(struct search *search, const struct node *node,
                                       const char *text, const char *end, int params)
{
    const struct router *router = search->router;
    const struct route *route = NULL;
    size_t len = (size_t)(end - text);
    search->params[params].value = text;
    search->params[params].len = len;
    if (node->integer && is_integer(text, len))
        route = node_find(search, node->integer, end, params + 1);
    for (int i = 0; !route && i < node->typed_count && len <= ROUTER_MAX_MATCH; i++)
        if (router->match(router->arg, node->typed[i].pattern, text, len))
            route = node_find(search, node->typed[i].node, end, params + 1);
    if (!route && node->param)
        route = node_find(search, node->param, end, params + 1);
    return route;
}

/* `at` is the slash before the next segment, or the end. The segments before it led to `node`. */
static const struct route *node_find(struct search *search, const struct node *node, const char *at,
                                     int params)
{
    if (at == search->end)
        return leaf_find(search, node->leaf);

    const char *text = at + 1;
    const char *end = memchr(text, '/', (size_t)(search->end - text));
    if (!end)
        end = search->end;
    const struct route *route = NULL;
    int literal = node->literal_count ? literal_index(node, text, (size_t)(end - text)) : -1;
    if (literal >= 0)
        route = node_find(search, node->literals[literal].node, end, params);
    if (!route && end > text && (node->integer || node->typed_count || node->param))
        route = params_find(search, node, text, end, params);
    if (route || !node->splat)
        return route;

    search->params[params].value = text; /* only now: the searches above used the same place */
    search->params[params].len = (size_t)(search->end - text);
    return leaf_find(search, node->splat);
}

void router_find(const struct router *router, const char *method, size_t method_len,
                 const char *path, size_t len, struct router_result *result)
{
    struct search search = {
        .router = router,
        .method = method_len > 0 ? method_of(method, method_len) : NO_METHOD,
        .end = path + len,
        .params = result->params,
    };
    const struct route *route = NULL;
    if (len == 1 && path[0] == '*')
        search.allow = router->allow; /* OPTIONS * is about the whole server */
    else if (len > 0 && path[0] == '/')
        route = node_find(&search, &router->root, path, 0);

    result->route = route ? route->id : -1;
    result->count = route ? route->params : 0;
    result->allow = search.allow ? search.allow | method_bit(OPTIONS) : 0;
    for (int i = 0; i < result->count; i++)
        result->params[i].name = route->names[i];
}

/* ---- adding ---- */

static struct node *literal_add(struct node *node, const struct segment *segment)
{
    int index = literal_index(node, segment->text, segment->text_len);
    if (index >= 0)
        return node->literals[index].node;

    index = -1 - index;
    node->literals =
        mem_realloc(node->literals, (size_t)(node->literal_count + 1) * sizeof *node->literals);
    struct literal *literal = &node->literals[index];
    memmove(literal + 1, literal, (size_t)(node->literal_count - index) * sizeof *literal);
    literal->text = mem_strndup(segment->text, segment->text_len);
    literal->len = segment->text_len;
    literal->node = mem_calloc(sizeof *literal->node);
    node->literal_count++;
    return literal->node;
}

static bool is_pattern(const struct router *router, int pattern, const struct segment *segment)
{
    const char *text = router->patterns[pattern];
    return strlen(text) == segment->text_len && memcmp(text, segment->text, segment->text_len) == 0;
}

/* The number of a {lua pattern}; each text has one. */
static int pattern_number(struct router *router, const struct segment *segment)
{
    for (int i = 0; i < router->pattern_count; i++)
        if (is_pattern(router, i, segment))
            return i;
    router->patterns =
        mem_realloc(router->patterns, (size_t)(router->pattern_count + 1) * sizeof(char *));
    router->patterns[router->pattern_count] = mem_strndup(segment->text, segment->text_len);
    return router->pattern_count++;
}

static struct node *typed_add(struct router *router, struct node *node,
                              const struct segment *segment)
{
    for (int i = 0; i < node->typed_count; i++)
        if (is_pattern(router, node->typed[i].pattern, segment))
            return node->typed[i].node;
    node->typed = mem_realloc(node->typed, (size_t)(node->typed_count + 1) * sizeof *node->typed);
    struct typed *typed = &node->typed[node->typed_count++];
    typed->pattern = pattern_number(router, segment);
    typed->node = mem_calloc(sizeof *typed->node);
    return typed->node;
}

static struct node *child_of(struct node **child)
{
    if (!*child)
        *child = mem_calloc(sizeof **child);
    return *child;
}

static struct node *node_add(struct router *router, struct node *node,
                             const struct segment *segment)
{
    switch (segment->kind) {
    case SEGMENT_LITERAL: return literal_add(node, segment);
    case SEGMENT_INT: return child_of(&node->integer);
    case SEGMENT_LUA: return typed_add(router, node, segment);
    default: return child_of(&node->param);
    }
}

/* The leaf of the pattern, made where it is missing. */
static struct leaf *leaf_add(struct router *router, const struct pattern *pattern)
{
    bool has_splat = pattern->segments[pattern->count - 1].kind == SEGMENT_SPLAT;
    int nodes = pattern->count - has_splat;
    struct node *node = &router->root;
    for (int i = 0; i < nodes; i++)
        node = node_add(router, node, &pattern->segments[i]);
    struct leaf **leaf = has_splat ? &node->splat : &node->leaf;
    if (!*leaf)
        *leaf = mem_calloc(sizeof **leaf);
    return *leaf;
}

static struct route *route_new(const struct pattern *pattern, int id, const char *text,
                               const char *where)
{
    struct route *route = mem_calloc(sizeof *route);
    route->id = id;
    route->text = mem_strdup(text);
    route->where = mem_strdup(where);
    for (int i = 0; i < pattern->count; i++) {
        const struct segment *segment = &pattern->segments[i];
        if (segment->name)
            route->names[route->params++] = mem_strndup(segment->name, segment->name_len);
    }
    return route;
}

/* What is wrong with one of the {lua patterns}, or NULL. */
static const char *patterns_check(const struct router *router, const struct pattern *pattern)
{
    const char *wrong = NULL;
    for (int i = 0; i < pattern->count && !wrong && router->check; i++) {
        const struct segment *segment = &pattern->segments[i];
        if (segment->kind == SEGMENT_LUA)
            wrong = router->check(segment->text, segment->text_len);
    }
    return wrong;
}

int router_add(struct router *router, const char *method, const char *text, int id,
               const char *where, char *error, size_t error_size)
{
    char reason[160];
    const char *wrong = reason;
    struct pattern pattern;
    enum method number = method[0] ? method_of(method, strlen(method)) : NO_METHOD;
    if (number == NO_METHOD)
        wrong = "the method is none of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS and ANY";
    else if (pattern_parse(&pattern, text, ROUTER_MAX_PARAMS, reason, sizeof reason) == 0)
        wrong = patterns_check(router, &pattern);
    if (wrong) {
        snprintf(error, error_size, "route %s %s (%s): %s", method, text, where, wrong);
        return -1;
    }

    /* Adds nothing when the route turns out to be a tie. */
    struct leaf *leaf = leaf_add(router, &pattern);
    const struct route *twin = leaf->routes[number];
    if (twin) {
        snprintf(error, error_size, "route %s %s (%s) can never be told apart from %s %s (%s)",
                 method, text, where, method, twin->text, twin->where);
        return -1;
    }
    leaf->routes[number] = route_new(&pattern, id, text, where);
    leaf->allow |= method_answered(number);
    router->allow |= leaf->allow;
    return 0;
}
