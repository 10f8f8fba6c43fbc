/* What the WebSockets of a server share: contexts to read frames with, zlib's state, buffers, and
 * their kinds, which are few. Owned by the server. */
#include "base/mem.h"
#include "ws/ws_deflate.h"
#include "ws/ws_state.h"

#include <assert.h>

#define SPARE_FRAMES 16 /* kept for the next to come, 4.5 KiB each */

static void pool_free(struct http_shared *shared)
{
    struct ws_pool *pool = container_of(shared, struct ws_pool, shared);
    assert(pool->borrowed == 0);
    while (pool->frames) {
        struct ws_frame *frame = pool->frames;
        pool->frames = frame->next;
        ws_frame_free(frame);
    }
    while (pool->kinds) {
        struct ws_kind *kind = pool->kinds;
        pool->kinds = kind->next;
        mem_free(kind);
    }
    ws_deflate_free_inflater(pool->inflater);
    bytes_deinit(&pool->inflated);
    bytes_deinit(&pool->deflated);
    mem_free(pool);
}

struct ws_pool *ws_pool_of(struct http_server *server)
{
    if (!server->shared) {
        struct ws_pool *pool = mem_calloc(sizeof(*pool));
        pool->shared.free = pool_free;
        server->shared = &pool->shared;
    }
    return container_of(server->shared, struct ws_pool, shared);
}

static bool are_equal(const struct ws_options *a, const struct ws_options *b)
{
    return a->max_message == b->max_message && a->max_fragments == b->max_fragments &&
           a->ping_ms == b->ping_ms && a->pong_ms == b->pong_ms && a->close_ms == b->close_ms &&
           a->deflate == b->deflate;
}

/* An application has a handful of them, so they are never given up. */
const struct ws_kind *ws_pool_kind(struct ws_pool *pool, const struct ws_options *options,
                                   const struct ws_events *events)
{
    struct ws_kind *kind = pool->kinds;
    while (kind && !(kind->events == events && are_equal(&kind->options, options)))
        kind = kind->next;
    if (!kind) {
        kind = mem_alloc(sizeof(*kind));
        *kind = (struct ws_kind){*options, events, pool->kinds};
        pool->kinds = kind;
    }
    return kind;
}

struct ws_frame *ws_frame_borrow(struct ws_pool *pool)
{
    struct ws_frame *frame = pool->frames;
    if (frame) {
        pool->frames = frame->next;
        pool->frame_count--;
    } else {
        frame = ws_frame_alloc();
        frame->pool = pool;
    }
    pool->borrowed++;
    return frame;
}

/* One in the middle of a frame, or that found a mistake, is of no more use. */
void ws_frame_return(struct ws_frame *frame)
{
    struct ws_pool *pool = frame->pool;
    pool->borrowed--;
    if (!ws_frame_is_between(frame) || pool->frame_count >= SPARE_FRAMES) {
        ws_frame_free(frame);
        return;
    }
    frame->next = pool->frames;
    pool->frames = frame;
    pool->frame_count++;
}
