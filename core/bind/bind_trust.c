/* `core.trust`: waits until a thread has read the certificates that the system trusts. */
#include "base/mem.h"
#include "net/trust.h"
#include "net/work.h"
#include "task/task.h"
#include "task/vm.h"
#include "value/binding.h"
#include "value/units.h"

#include <lauxlib.h>

struct trust {
    struct work work;
    struct wait *wait; /* NULL: nobody waits any more */
    bool is_there;
    char error[512];
};

static void bind_trust_run(struct work *work)
{
    struct trust *trust = container_of(work, struct trust, work);
    trust->is_there = trust_read(trust->error, sizeof(trust->error));
}

static void bind_trust_on_done(struct work *work, int err)
{
    struct trust *trust = container_of(work, struct trust, work);
    (void)err; /* stopped: then nobody waits */
    if (trust->wait != NULL)
        task_wake_wait(trust->wait, 0);
    else
        mem_free(trust);
}

static void undo(struct wait *wait)
{
    struct trust *trust = wait->source;
    trust->wait = NULL;
    work_cancel(&trust->work);
}

static void bind_trust_lose(struct wait *wait)
{
    mem_free(wait->source);
}

static int bind_trust_finish(lua_State *L, struct wait *wait)
{
    struct trust *trust = wait->source;
    if (wait->outcome == WAIT_TIMEOUT) { /* and `trust` is not ours any more */
        lua_pushnil(L);
        lua_pushliteral(L, "timeout");
        return 2;
    }
    struct trust read = *trust;
    mem_free(trust); /* before what may raise */
    if (read.is_there)
        lua_pushinteger(L, trust_version());
    else
        lua_pushnil(L);
    lua_pushstring(L, read.error);
    return 2;
}

/* trust(timeout) -> version | nil, error; parks when they have to be read */
static int core_trust(lua_State *L)
{
    uint64_t timeout_ms = units_check_duration(L, 1);
    if (trust_is_ready()) {
        lua_pushinteger(L, trust_version());
        return 1;
    }
    struct wait *wait = task_wait(L);
    struct trust *trust = mem_calloc(sizeof(*trust));
    trust->wait = wait;
    trust->work.run = bind_trust_run;
    trust->work.on_done = bind_trust_on_done;
    wait->undo = undo;
    wait->lost = bind_trust_lose;
    wait->finish = bind_trust_finish;
    wait->source = trust;
    work_start(&trust->work, vm_of(L)->loop);
    return task_park(L, timeout_ms);
}

static int bind_trust(lua_State *L)
{
    lua_pushcfunction(L, core_trust);
    lua_setfield(L, -2, "trust");
    return 0;
}

BINDING(bind_trust)
