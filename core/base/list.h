/* Intrusive doubly linked list. A `struct list` is both the head and the link inside a member;
 * an unlinked member points at itself, so removing twice is harmless. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev;
    struct list *next;
};

/* The struct that holds `member` at address `ptr`. */
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define list_each(pos, head) for (struct list *pos = (head)->next; pos != (head); pos = pos->next)

static inline void list_init(struct list *head)
{
    head->prev = head;
    head->next = head;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

/* Put `link` at the end. */
static inline void list_push(struct list *head, struct list *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* Take the first member out, or NULL. */
static inline struct list *list_shift(struct list *head)
{
    if (list_is_empty(head))
        return NULL;
    struct list *first = head->next;
    list_remove(first);
    return first;
}

/* Move all members of `from` to `to`, which is initialised; `from` ends empty. */
static inline void list_take(struct list *to, struct list *from)
{
    list_init(to);
    if (list_is_empty(from))
        return;
    *to = *from;
    to->next->prev = to;
    to->prev->next = to;
    list_init(from);
}

#endif
