/* One Lua state: its allocator with a memory ceiling, its cleaned standard library, and the
 * scheduler's lists. Reached from any coroutine by vm_of (a pointer in lua_getextraspace, inherited
 * by coroutines). */
#ifndef TASK_VM_H
#define TASK_VM_H

#include "base/bytes.h"
#include "base/list.h"
#include "base/slots.h"
#include "net/loop.h"
#include "task/watch.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

struct app;
struct library;
struct outlet;
struct shelf;
struct threads;
struct generation;
struct http_limits;
struct task;

struct vm_options {
    struct loop *loop;                     /* NULL: of task.thread, where nothing can wait */
    const struct http_limits *http_limits; /* of this worker's requests */
    const char *lua_dir;                   /* the folder that holds neap/init.lua */
    struct library *library;               /* what is compiled of that; NULL: nothing is kept */
    size_t memory_limit;                   /* bytes, 0 = none */
    uint32_t watch_log_ms;                 /* a slice longer than this is logged */
    uint32_t watch_raise_ms;
    uint32_t watch_thread_ms; /* a function of task.thread that runs longer is logged */
    uint32_t cancel_grace_ms;
    struct outlet *outlet;    /* this worker's side of all topics */
    struct shelf *shelf;      /* all stores */
    struct threads *threads;  /* for task.thread; NULL inside of it */
    void *errand;             /* inside task.thread: what runs there */
    const char *name;         /* inside task.thread: of that; it must stay */
    struct slots *websockets; /* this worker's, of all its generations: for handles */
    struct vm *predecessor;   /* the state that serves while this one is built, or NULL */
};

/* See shortage.h. */
struct shortage {
    uint32_t ended_well;  /* tasks so far */
    uint32_t well_before; /* those before the first of the failures */
    uint32_t failures;
    uint64_t since_ms; /* the first of them */
    uint64_t last_ms;
    uint64_t found_ms; /* when it was last certain, 0: never */
    size_t relaxed;    /* bytes that it has beyond its limit */
    struct loop_job look_job;
    void (*on_certain)(struct vm *vm); /* called again and again; may be NULL */
};

struct vm {
    lua_State *L; /* the main thread: never runs user code outside a task or call_protected */
    struct loop *loop;
    struct slots sockets;   /* and listeners of neap.net, connections of pg: for handles */
    struct slots databases; /* pools of SQLite and leases of theirs, for handles */
    uint32_t requests;      /* that its handlers have */
    uint32_t websockets;    /* that its handlers have */
    bool is_hurried;        /* its time is over */
    bool is_cut;            /* every task ends now, so nobody shall start another */
    struct app *app; /* what serves requests, NULL before core.serve; its generation frees it */
    struct generation *generation; /* who owns this vm; opaque here */
    struct vm_options options;
    struct slots task_slots; /* every live task, for handles */
    struct list tasks;       /* every live task */
    struct list idle_tasks;  /* ended ones whose coroutine waits for its next use */
    uint32_t idle_count;
    struct list ready;         /* woken tasks, run at the end of the turn, a slice of them */
    struct loop_job ready_job; /* in the loop's jobs while `ready` has members */
    struct list yielded;       /* waits of tasks that let others run first */
    struct loop_job yield_job;
    struct task *current; /* the task that runs now, NULL between slices */
    uint32_t calls;       /* of it that could have waited and did not, see task_had_enough */
    uint32_t calls_look;  /* when the clock is looked at again ... */
    uint64_t calls_ns;    /* ... and what it said the first time */
    bool can_park; /* every coroutine between the scheduler and the running one can be suspended */
    size_t memory; /* bytes in use */
    struct shortage shortage;
    void *cancel_error; /* the userdata that cancels, see stop.c */
    void *watchdog_error;
    struct bytes warning; /* pieces of a warning (an error in __gc), until it is complete */
    struct watch watch;   /* what the watchdog looks at */
    int websocket_ref;    /* the metatable of WebSockets */
    int visit_begin_ref;  /* functions of app/visits.lua, see visit.c; 0: nobody watches */
    int visit_leave_ref;
    int visit_pack_ref;
    int visit_unpack_ref;
#ifdef NEAP_TESTING
    int loses; /* enum vm_loses: what is to be forgotten next */
#endif
};

/* For tests: a mistake of ours, after which something is never given back. */
enum vm_loses { VM_LOSES_NOTHING, VM_LOSES_REQUEST, VM_LOSES_WEBSOCKET, VM_LOSES_COUNT };
#ifdef NEAP_TESTING
static inline bool vm_loses(struct vm *vm, int what)
{
    bool does = vm->loses == what;
    if (does)
        vm->loses = VM_LOSES_NOTHING;
    return does;
}
#else
#define vm_loses(vm, what) false
#endif

static inline struct vm *vm_of(lua_State *L)
{
    return *(struct vm **)lua_getextraspace(L);
}
/* Ends a coroutine and runs its <close> handlers; LUA_OK, or what one of them failed with. */
static inline int vm_reset_coroutine(lua_State *co, lua_State *from)
{
#if LUA_VERSION_RELEASE_NUM >= 50406
    return lua_closethread(co, from);
#else
    (void)from;
    return lua_resetthread(co);
#endif
}
uint64_t vm_now_ms(const struct vm *vm); /* the loop's clock, also where there is no loop */

#endif
