/* Compressing in slices: see packing.h. */
#include "web/packing.h"

#include "base/mem.h"
#include "http/gzip.h"
#include "http/session.h"
#include "task/task.h"
#include "task/vm.h"
#include "value/owned.h"
#include "web/app.h"

#include <lauxlib.h>

#define PACKINGS_MAX 16 /* of one state; each needs 256 KB and what it has made */

void packing_end(struct packing *packing)
{
    if (!packing->vm)
        return;
    packing->vm->app->packings--;
    packing->vm = NULL;
    gzip_free(packing->gzip);
    bytes_deinit(&packing->out);
    mem_free(packing->text);
}

static int release(lua_State *L)
{
    packing_end(lua_touserdata(L, 1));
    return 0;
}

static int push(lua_State *L)
{
    struct packing *packing = lua_newuserdatauv(L, sizeof(*packing), 0);
    packing->vm = NULL;
    owned_set_type(L, "neap.packing", release);
    return 1;
}

struct packing *packing_push(lua_State *L, struct request *rq, const char *body, size_t len)
{
    struct vm *vm = vm_of(L);
    if (vm->app->packings >= PACKINGS_MAX || !lua_checkstack(L, 4))
        return NULL;
    struct gzip *gzip = gzip_new(NULL);
    if (!gzip)
        return NULL;
    lua_pushcfunction(L, push);
    if (lua_pcall(L, 0, 1, 0) != LUA_OK) { /* the caller may have a body to free */
        lua_pop(L, 1);
        gzip_free(gzip);
        return NULL;
    }
    struct packing *packing = lua_touserdata(L, -1);
    *packing = (struct packing){.rq = rq, .body = body, .len = len, .gzip = gzip, .vm = vm};
    vm->app->packings++;
    return packing;
}

/* ---- slices ---- */

/* Whether there is more to do. */
static bool packing_go_on(struct packing *packing)
{
    size_t left = packing->len - packing->done;
    size_t len = left < PACKING_SLICE ? left : PACKING_SLICE;
    bool is_last = len == left;
    int err = gzip_write(packing->gzip, packing->body + packing->done, len,
                         is_last ? GZIP_END : GZIP_MORE, &packing->out);
    packing->done += len;
    if (!err && packing->out.len < packing->len && session_conn_of(packing->rq))
        return !is_last;
    bytes_deinit(&packing->out);
    return false;
}

static int on_turn(lua_State *L, struct wait *wait)
{
    return packing_run(L, wait->source);
}

int packing_run(lua_State *L, struct packing *packing)
{
    if (packing->done == 0)
        lua_toclose(L, -1);
    if (!packing_go_on(packing))
        return packing->then(L, packing);
    struct wait *wait = task_wait(L);
    wait->finish = on_turn;
    wait->source = packing;
    return task_pause(L, wait);
}
