/* Memory. Our own small needs end the process when memory runs out; sizes that a client chooses use
 * the try_ variants, whose failure becomes an answer (413, 503).
 *
 * So with libraries: one that can say that there is no memory keeps its malloc, or gets the try_
 * variants, and what it says becomes an answer; one that cannot, because it aborts or goes wrong,
 * gets mem_alloc and its like, so that the end has a line. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size);  /* out of memory: a line on stderr, and the process ends */
void *mem_calloc(size_t size); /* zeroed */
void *mem_calloc_items(size_t count, size_t size);
void *mem_realloc(void *ptr, size_t size);
void *mem_try_alloc(size_t size); /* NULL when out of memory */
void *mem_try_realloc(void *ptr, size_t size);
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t len); /* adds the NUL */
void mem_free(void *ptr);
/* Gives the system back what is free between what is not; takes a millisecond. */
void mem_trim(void);

#endif
