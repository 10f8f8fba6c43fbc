/* Signals of the process: one libuv watcher for each. */
#include "net/signals.h"

#include <assert.h>
#include <signal.h>

static void on_uv_signal(uv_signal_t *watcher, int number)
{
    struct signals *signals = watcher->data;
    signals->on_signal(watcher->loop->data, number);
}

int signals_start(struct signals *signals, struct loop *loop, const int *numbers, int count,
                  signals_fn on_signal)
{
    assert(count <= SIGNALS_MAX);
    signals->on_signal = on_signal;
    for (signals->count = 0; signals->count < count; signals->count++) {
        uv_signal_t *watcher = &signals->watchers[signals->count];
        int err = uv_signal_init(&loop->uv, watcher);
        if (err == 0) {
            watcher->data = signals;
            err = uv_signal_start(watcher, on_uv_signal, numbers[signals->count]);
            if (err)
                uv_close((uv_handle_t *)watcher, NULL);
        }
        if (err) {
            signals_stop(signals);
            return err;
        }
    }
    return 0;
}

/* Without a watcher a signal would do what it does by default: kill us while we clean up. */
void signals_stop(struct signals *signals)
{
    while (signals->count > 0) {
        uv_signal_t *watcher = &signals->watchers[--signals->count];
        int number = watcher->signum;
        uv_close((uv_handle_t *)watcher, NULL);
        signal(number, SIG_IGN);
    }
}

const char *signals_name(int number)
{
    switch (number) {
    case SIGTERM: return "SIGTERM";
    case SIGINT: return "SIGINT";
    case SIGHUP: return "SIGHUP";
    default: return "a signal";
    }
}
