/* Unpredictable bytes, from the system: nothing that could be out of memory stands between. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>

void random_fill(void *bytes, size_t len); /* ends the process when the system has none */

#endif
