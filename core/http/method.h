/* The methods that a route can have, and sets of them. */
#ifndef HTTP_METHOD_H
#define HTTP_METHOD_H

#include <stddef.h>
#include <stdint.h>

enum method { GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, ANY, METHODS, NO_METHOD };

enum method method_of(const char *text, size_t len);
static inline uint32_t method_bit(enum method method)
{
    return 1u << method;
}
uint32_t method_find_bit(const char *method, size_t len); /* 0: none of ours, or ANY */
/* The bits of what a route of that method answers: HEAD with GET, all with ANY. */
uint32_t method_answered(enum method method);
#define METHOD_LIST_SIZE 64
/* "GET, HEAD, OPTIONS"; returns the length. */
size_t method_list(uint32_t allow, char *buf, size_t size);

#endif
