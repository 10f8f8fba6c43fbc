/* Deaf workers: see deaf.h. A worker that sleeps and one that is held up look alike from outside:
 * neither has turns. But who sleeps is woken by whoever comes to his door, so somebody who still
 * waits there, look after look, without a turn, has found him deaf. */
#include "top/deaf.h"

#include "base/log.h"
#include "base/mem.h"
#include "top/sockets.h"
#include "top/stand_in.h"
#include "top/worker.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define LOOK_MS 250
#define DEAF_LOOKS 4 /* looks, not time: we might be late ourselves */
#define REMIND_MS 60000

/* A worker's listening sockets, and who accepts there. */
struct door {
    uint32_t turns;    /* of its loop, at the last look */
    int looks;         /* without a turn while somebody waited; DEAF_LOOKS: it is deaf */
    uint64_t since_ms; /* the first of these */
    uint64_t said_ms;
    int stand_in; /* its index, -1: none */
    uint32_t stand_in_turns;
};

static bool is_deaf(const struct door *door)
{
    return door->looks >= DEAF_LOOKS;
}

static double seconds_of(const struct deaf *deaf, const struct door *door)
{
    return (double)(loop_now_ms(deaf->loop) - door->since_ms) / 1000;
}

static bool is_anybody_at(const struct deaf *deaf, int index)
{
    const int *fds = sockets_of(deaf->sockets, index);
    bool is_anybody = false;
    for (size_t i = 0; i < deaf->sockets->listen->count && !is_anybody; i++) {
        struct pollfd fd = {.fd = fds[i], .events = POLLIN};
        is_anybody = poll(&fd, 1, 0) > 0;
    }
    return is_anybody;
}

/* ---- saying so ---- */

static void append_line(const struct deaf *deaf, int index, struct bytes *text)
{
    const struct door *door = &deaf->doors[index];
    char busy[WORKER_BUSY_SIZE];
    worker_write_busy(deaf->workers[index], busy);
    bytes_printf(text, "worker %d has not answered for %.1f s", index + 1, seconds_of(deaf, door));
    if (busy[0])
        bytes_printf(text, " (%s)", busy);
    if (door->stand_in >= 0)
        bytes_printf(text, ": until it does, worker %d takes its new connections",
                     door->stand_in + 1);
    else
        bytes_append_text(text, ": its new connections wait, as no other worker answers");
}

static void say(const struct deaf *deaf, int index)
{
    struct bytes text;
    bytes_init(&text);
    append_line(deaf, index, &text);
    log_line(LOG_WARN, text.data, text.len, NULL, 0);
    bytes_deinit(&text);
    deaf->doors[index].said_ms = loop_now_ms(deaf->loop);
}

void deaf_describe(const struct deaf *deaf, struct bytes *text)
{
    for (int i = 0; deaf->doors && i < deaf->count; i++) {
        if (!is_deaf(&deaf->doors[i]))
            continue;
        append_line(deaf, i, text);
        bytes_append_text(text, "\n");
    }
}

/* ---- stand-ins ---- */

static void dismiss(struct deaf *deaf, int index)
{
    struct door *door = &deaf->doors[index];
    if (door->stand_in >= 0)
        stand_ins_end(worker_stand_ins(deaf->workers[door->stand_in]), index + 1);
    door->stand_in = -1;
}

/* Duplicates of its sockets; -1: there are no descriptors left. */
static int duplicate(const struct deaf *deaf, int index, int *fds)
{
    const int *own = sockets_of(deaf->sockets, index);
    int count = (int)deaf->sockets->listen->count;
    for (int i = 0; i < count; i++) {
        fds[i] = fcntl(own[i], F_DUPFD_CLOEXEC, 0);
        if (fds[i] >= 0)
            continue;
        while (i-- > 0)
            close(fds[i]);
        return -1;
    }
    return count;
}

/* The one after the last that was asked, for that one has not come. -1: there is none. */
static int next_stand_in(const struct deaf *deaf, int index)
{
    int last = deaf->doors[index].stand_in >= 0 ? deaf->doors[index].stand_in : index;
    for (int i = 1; i <= deaf->count; i++) {
        int candidate = (last + i) % deaf->count;
        if (candidate != index && !is_deaf(&deaf->doors[candidate]))
            return candidate;
    }
    return -1;
}

static void ask_next(struct deaf *deaf, int index)
{
    struct door *door = &deaf->doors[index];
    int next = next_stand_in(deaf, index);
    if (next == door->stand_in)
        return; /* it will come */
    dismiss(deaf, index);
    int *fds = mem_calloc(deaf->sockets->listen->count * sizeof *fds);
    int count = next >= 0 ? duplicate(deaf, index, fds) : -1;
    if (count > 0) {
        door->stand_in = next;
        door->stand_in_turns = loop_turns(worker_loop(deaf->workers[next]));
        stand_ins_begin(worker_stand_ins(deaf->workers[next]), index + 1, fds, count);
    }
    mem_free(fds);
}

/* Who stands in may become deaf as well. */
static bool is_attended(struct deaf *deaf, int index)
{
    struct door *door = &deaf->doors[index];
    if (door->stand_in < 0)
        return false;
    uint32_t turns = loop_turns(worker_loop(deaf->workers[door->stand_in]));
    bool has_turned = turns != door->stand_in_turns;
    door->stand_in_turns = turns;
    return has_turned || !is_anybody_at(deaf, index);
}

/* ---- looking ---- */

static void answer_again(struct deaf *deaf, int index)
{
    log_info("worker %d answers again, after %.1f s", index + 1,
             seconds_of(deaf, &deaf->doors[index]));
    dismiss(deaf, index);
}

static void look_again(struct deaf *deaf, int index)
{
    if (!is_attended(deaf, index))
        ask_next(deaf, index);
    if (loop_now_ms(deaf->loop) - deaf->doors[index].said_ms >= REMIND_MS)
        say(deaf, index);
}

static void look_at(struct deaf *deaf, int index)
{
    struct door *door = &deaf->doors[index];
    uint32_t turns = loop_turns(worker_loop(deaf->workers[index]));
    if (turns != door->turns) {
        if (is_deaf(door))
            answer_again(deaf, index);
        door->turns = turns;
        door->looks = 0;
    } else if (is_deaf(door)) {
        look_again(deaf, index);
    } else if (!is_anybody_at(deaf, index)) {
        door->looks = 0;
    } else {
        if (door->looks++ == 0)
            door->since_ms = loop_now_ms(deaf->loop);
        if (!is_deaf(door))
            return;
        ask_next(deaf, index);
        say(deaf, index);
    }
}

static void deaf_on_look(struct deadline *deadline)
{
    struct deaf *deaf = container_of(deadline, struct deaf, look);
    for (int i = 0; i < deaf->count; i++)
        look_at(deaf, i);
    loop_set_deadline(deaf->loop, &deaf->look, LOOK_MS);
}

void deaf_start(struct deaf *deaf)
{
    deaf->doors = mem_calloc((size_t)deaf->count * sizeof *deaf->doors);
    for (int i = 0; i < deaf->count; i++)
        deaf->doors[i].stand_in = -1;
    deadline_init(&deaf->look, deaf_on_look);
    loop_set_deadline(deaf->loop, &deaf->look, LOOK_MS);
}

void deaf_stop(struct deaf *deaf)
{
    if (!deaf->doors)
        return;
    loop_clear_deadline(deaf->loop, &deaf->look);
    mem_free(deaf->doors);
    deaf->doors = NULL;
}
