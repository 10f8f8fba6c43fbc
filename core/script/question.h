/* A question to a running application, from `neap ps` and its like: a line of text for
 * neap.inspect, which answers in a task of its own. */
#ifndef SCRIPT_QUESTION_H
#define SCRIPT_QUESTION_H

#include <stddef.h>

struct vm;

/* Once, on the vm's thread, never from inside question_ask. NULL: there was no answer (logged, or
 * the task was cancelled). */
typedef void (*question_fn)(void *arg, const char *answer, size_t len);

void question_ask(struct vm *vm, const char *text, question_fn on_answer, void *arg);

#endif
