/* An inquiry: what `neap ps` and its like want to know of a running application. A line of text for
 * neap.life.inquiry, which answers in a task of its own. */
#ifndef LIFE_INQUIRY_H
#define LIFE_INQUIRY_H

#include <stddef.h>

struct vm;

/* Once, on the vm's thread, never from inside inquiry_ask. NULL: there was no answer (logged, or
 * the task was cancelled). */
typedef void (*inquiry_fn)(void *arg, const char *answer, size_t len);

void inquiry_ask(struct vm *vm, const char *text, inquiry_fn on_answer, void *arg);

#endif
