/* The watchdog's three places: the tick on the watching thread, the signal handler on the worker's,
 * which may do next to nothing, and the hook, which runs between two Lua instructions and may do
 * everything. A hook that is always there would slow Lua down 2.3 times, so it is armed only when
 * somebody is late. */
#include "task/watchdog.h"

#include "base/log.h"
#include "task/fault.h"
#include "task/stop.h"
#include "task/task.h"
#include "task/vm.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WATCHDOG_SIGNAL (SIGRTMIN + 4)
#define WATCHDOG_PATIENCE 4 /* ticks from the alarm until "still inside one C call" */

/* ThreadSanitizer holds signals back for ever in a pure loop. */
#if defined(NEAP_TSAN) || defined(__SANITIZE_THREAD__)
#define WATCHDOG_POLLS 1
#else
#define WATCHDOG_POLLS 0
#endif
#define WATCHDOG_POLL_COUNT 1000

enum alarm { ALARM_NONE, ALARM_LOG, ALARM_RAISE };

static const char *running_name(const struct vm *vm)
{
    if (vm->current != NULL && vm->current->name != NULL)
        return vm->current->name;
    return vm->options.name != NULL ? vm->options.name : "lua";
}

/* ---- on the worker: the hook ---- */

/* A hook has no call record of its own, it runs on that of the interrupted Lua function. A long
 * luaL_Buffer, as in every traceback over 1 KiB, marks the record on top as having something to
 * close, and that function would then return wrong results. So this is a C function with a record
 * to itself. Stack: the time it ran. */
static int log_slow(lua_State *L)
{
    const struct vm *vm = vm_of(L);
    double seconds = (double)lua_tointeger(L, 1) / 1000.0;
    fault_push_stack(L, L, NULL, 1);
    log_warn("%s: has been running for %.2f s without waiting\n%s", running_name(vm), seconds,
             lua_tostring(L, -1));
    return 0;
}

static void call_log_slow(lua_State *L, uint32_t ran_ms)
{
    lua_pushcfunction(L, log_slow);
    lua_pushinteger(L, ran_ms);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK)
        lua_pop(L, 1); /* out of memory: no line then */
}

static void on_hook(lua_State *L, lua_Debug *ar)
{
    struct vm *vm = vm_of(L);
    struct watch *watch = &vm->watch;
    (void)ar;
    /* Coroutines made meanwhile have inherited it: they get here, too. */
    if (!WATCHDOG_POLLS)
        lua_sethook(L, NULL, 0, 0);
    if (atomic_load_explicit(&watch->alarm, memory_order_relaxed) == ALARM_NONE)
        return;
    int alarm = atomic_exchange_explicit(&watch->alarm, ALARM_NONE, memory_order_acquire);
    uint32_t slice = atomic_load_explicit(&watch->slice, memory_order_relaxed);
    uint32_t ran_ms = atomic_load_explicit(&watch->alarm_ms, memory_order_relaxed);
    if (atomic_load_explicit(&watch->alarm_slice, memory_order_relaxed) != slice)
        return; /* came too late: it is another one that runs now */
    atomic_store_explicit(&watch->answered, slice, memory_order_relaxed);
    if (alarm == ALARM_RAISE) {
        stop_push_watchdog(L, ran_ms);
        lua_error(L);
    }
    if (alarm == ALARM_LOG)
        call_log_slow(L, ran_ms);
}

/* ---- on the worker: the signal ---- */

static void note_who(const struct vm *vm, struct watch *watch, uint32_t slice)
{
    if (atomic_load_explicit(&watch->who_slice, memory_order_relaxed) == slice)
        return;
    const char *name = running_name(vm);
    size_t len = strnlen(name, sizeof(watch->who) - 1);
    memcpy(watch->who, name, len);
    watch->who[len] = '\0';
    atomic_store_explicit(&watch->who_slice, slice, memory_order_release);
}

/* Walks all levels of the coroutine's stack, 20 ms when there are 200,000: not again while it is
 * armed. */
static void watchdog_arm(lua_State *L)
{
    if (lua_gethook(L) != on_hook)
        lua_sethook(L, on_hook, LUA_MASKCOUNT, 1);
}

static bool is_ours(const siginfo_t *info)
{
    return info->si_code == SI_QUEUE && info->si_pid == getpid();
}

/* The next may be sent. */
static void take_signal(struct vm *vm)
{
    atomic_store_explicit(&vm->watch.is_signalled, false, memory_order_release);
}

/* Interrupts the worker anywhere. lua_sethook is the one function of Lua that may be called
 * here. */
static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    if (!is_ours(info))
        return;
    struct vm *vm = info->si_value.sival_ptr;
    struct watch *watch = &vm->watch;
    lua_State *L = atomic_load_explicit(&watch->running, memory_order_relaxed);
    uint32_t slice = atomic_load_explicit(&watch->slice, memory_order_relaxed);
    if (L != NULL && atomic_load_explicit(&watch->alarm_slice, memory_order_relaxed) == slice) {
        note_who(vm, watch, slice);
        watchdog_arm(L);
    }
    take_signal(vm);
}

void watchdog_init(struct vm *vm)
{
    vm->watch.thread = pthread_self();
    if (WATCHDOG_POLLS) {
        /* Every coroutine inherits it. */
        lua_sethook(vm->L, on_hook, LUA_MASKCOUNT, WATCHDOG_POLL_COUNT);
        return;
    }
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(WATCHDOG_SIGNAL, &action, NULL);
}

/* A signal that was sent before the vm went away must not find it gone. One for another vm of this
 * thread is taken along: its next tick sends a new one. */
void watchdog_deinit(struct vm *vm)
{
    const struct timespec at_once = {0, 0};
    sigset_t ours, before;
    siginfo_t info;
    (void)vm;
    if (WATCHDOG_POLLS)
        return;
    sigemptyset(&ours);
    sigaddset(&ours, WATCHDOG_SIGNAL);
    pthread_sigmask(SIG_BLOCK, &ours, &before);
    int number;
    while ((number = sigtimedwait(&ours, &info, &at_once)) > 0 || errno == EINTR)
        if (number > 0 && is_ours(&info))
            take_signal(info.si_value.sival_ptr);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- on the watching thread ---- */

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* At most one signal is under way, so that a slow handler is not called again and again. */
static void interrupt(struct vm *vm)
{
    struct watch *watch = &vm->watch;
    union sigval value = {.sival_ptr = vm};
    if (atomic_exchange_explicit(&watch->is_signalled, true, memory_order_acquire))
        return;
    if (pthread_sigqueue(watch->thread, WATCHDOG_SIGNAL, value) != 0) /* next tick, then */
        atomic_store_explicit(&watch->is_signalled, false, memory_order_relaxed);
}

static void sound_alarm(struct vm *vm, enum alarm alarm, uint32_t slice, uint32_t ran_ms)
{
    struct watch *watch = &vm->watch;
    atomic_store_explicit(&watch->alarm_ms, ran_ms, memory_order_relaxed);
    atomic_store_explicit(&watch->alarm_slice, slice, memory_order_relaxed);
    atomic_store_explicit(&watch->alarm, alarm, memory_order_release);
    watch->sounded++;
    if (!WATCHDOG_POLLS)
        interrupt(vm);
}

void watchdog_stop(struct vm *vm)
{
    uint32_t slice = atomic_load_explicit(&vm->watch.slice, memory_order_relaxed);
    if (slice & 1)
        sound_alarm(vm, ALARM_RAISE, slice, 0);
}

void watchdog_show(struct vm *vm, uint32_t ran_ms)
{
    uint32_t slice = atomic_load_explicit(&vm->watch.slice, memory_order_relaxed);
    if (slice & 1)
        sound_alarm(vm, ALARM_LOG, slice, ran_ms);
}

void watchdog_write_late(const struct watch *watch, char name[WATCH_NAME_SIZE])
{
    uint32_t slice = atomic_load_explicit(&watch->slice, memory_order_relaxed);
    bool has_name = atomic_load_explicit(&watch->who_slice, memory_order_acquire) == slice;
    name[0] = '\0';
    if ((slice & 1) && has_name)
        memcpy(name, watch->who, WATCH_NAME_SIZE); /* complete, and stays for this slice */
}

static void warn_when_deaf(struct watch *watch, uint32_t slice, uint32_t ran_ms)
{
    if (watch->sounded != WATCHDOG_PATIENCE ||
        atomic_load_explicit(&watch->answered, memory_order_relaxed) == slice)
        return;
    bool has_name = atomic_load_explicit(&watch->who_slice, memory_order_acquire) == slice;
    log_warn("%s: still inside one C call after %.2f s, which cannot be interrupted; its traceback "
             "follows when it returns",
             has_name ? watch->who : "lua", (double)ran_ms / 1000.0);
}

void watchdog_tick(struct vm *vm)
{
    struct watch *watch = &vm->watch;
    uint32_t slice = atomic_load_explicit(&watch->slice, memory_order_relaxed);
    uint64_t now_ms = clock_ms();
    if (!(slice & 1) || slice != watch->seen_slice) {
        watch->seen_slice = slice;
        watch->seen_since_ms = now_ms;
        watch->sounded = 0;
        return;
    }
    uint32_t ran_ms = (uint32_t)(now_ms - watch->seen_since_ms);
    bool is_logged = atomic_load_explicit(&watch->answered, memory_order_relaxed) == slice;
    if (vm->options.watch_raise_ms != 0 && ran_ms >= vm->options.watch_raise_ms)
        sound_alarm(vm, ALARM_RAISE, slice, ran_ms);
    else if (vm->options.watch_log_ms != 0 && ran_ms >= vm->options.watch_log_ms && !is_logged)
        sound_alarm(vm, ALARM_LOG, slice, ran_ms);
    else
        return;
    warn_when_deaf(watch, slice, ran_ms);
}
