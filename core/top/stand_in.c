/* Stand-ins: see stand_in.h. */
#include "top/stand_in.h"

#include "base/log.h"
#include "base/mem.h"

#include <string.h>
#include <unistd.h>

/* For one worker. */
struct stand_in {
    struct list link;
    int number;
    int count;
    int open; /* listeners that have not closed */
    struct listener listeners[];
};

/* What the main thread asks for. */
struct stand_order {
    struct loop_message message;
    struct stand_ins *all;
    int number;
    int count; /* 0: no more */
    int fds[];
};

/* ---- beginning ---- */

static void stand_in_on_stopped(struct listener *listener)
{
    struct stand_in *one = listener->owner;
    if (--one->open == 0)
        mem_free(one);
}

static void open_all(struct stand_ins *all, const struct stand_order *asked)
{
    struct stand_in *one =
        mem_calloc(sizeof *one + (size_t)asked->count * sizeof one->listeners[0]);
    one->number = asked->number;
    one->count = asked->count;
    list_push(&all->open, &one->link);
    for (int i = 0; i < asked->count; i++) {
        all->prepare(&one->listeners[i]);
        one->listeners[i].owner = one;
        int err = listener_start(&one->listeners[i], all->loop, asked->fds[i]);
        if (err)
            log_warn("cannot accept for worker %d: %s", asked->number, strerror(-err));
        else
            one->open++;
    }
    if (one->open > 0)
        return;
    list_remove(&one->link);
    mem_free(one);
}

/* ---- ending ---- */

static void close_one(struct stand_in *one, void (*close)(struct listener *listener,
                                                          void (*on_stopped)(struct listener *)))
{
    list_remove(&one->link);
    for (int i = 0; i < one->count; i++) {
        struct listener *listener = &one->listeners[i];
        if (!listener->is_open)
            continue;
        close(listener, stand_in_on_stopped);
    }
}

static void close_for(struct stand_ins *all, int number)
{
    for (struct list *link = all->open.next, *next; link != &all->open; link = next) {
        struct stand_in *one = container_of(link, struct stand_in, link);
        next = link->next;
        if (one->number == number)
            close_one(one, listener_leave);
    }
}

void stand_ins_stop(struct stand_ins *all)
{
    struct list *link;
    all->is_over = true;
    while ((link = list_shift(&all->open)))
        close_one(container_of(link, struct stand_in, link), listener_stop);
}

/* ---- from the main thread ---- */

static void on_asked(struct loop *loop, struct loop_message *message)
{
    struct stand_order *asked = container_of(message, struct stand_order, message);
    struct stand_ins *all = asked->all;
    (void)loop;
    if (asked->count == 0) {
        close_for(all, asked->number);
    } else if (all->is_over) {
        for (int i = 0; i < asked->count; i++)
            close(asked->fds[i]);
    } else {
        open_all(all, asked);
    }
    mem_free(asked);
}

static void ask(struct stand_ins *all, int number, const int *fds, int count)
{
    struct stand_order *asked = mem_calloc(sizeof *asked + (size_t)count * sizeof *fds);
    asked->message.run = on_asked;
    asked->all = all;
    asked->number = number;
    asked->count = count;
    if (count > 0)
        memcpy(asked->fds, fds, (size_t)count * sizeof *fds);
    loop_post(all->loop, &asked->message);
}

void stand_ins_begin(struct stand_ins *all, int number, const int *fds, int count)
{
    ask(all, number, fds, count);
}

void stand_ins_end(struct stand_ins *all, int number)
{
    ask(all, number, NULL, 0);
}

void stand_ins_init(struct stand_ins *all, struct loop *loop)
{
    all->loop = loop;
    list_init(&all->open);
}
