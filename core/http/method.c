/* Methods of routes: see method.h. */
#include "http/method.h"

#include <string.h>

static const char *const method_names[METHODS] = {"GET",   "HEAD",   "POST",    "PUT",
                                                  "PATCH", "DELETE", "OPTIONS", "ANY"};

enum method method_of(const char *text, size_t len)
{
    for (int method = 0; method < METHODS; method++)
        if (method_names[method][0] == text[0] && strlen(method_names[method]) == len &&
            memcmp(method_names[method], text, len) == 0)
            return method;
    return NO_METHOD;
}

uint32_t method_find_bit(const char *method, size_t len)
{
    enum method found = len > 0 ? method_of(method, len) : NO_METHOD;
    return found < ANY ? method_bit(found) : 0;
}

size_t method_list(uint32_t allow, char *buf, size_t size)
{
    size_t len = 0;
    buf[0] = '\0';
    for (int method = 0; method < ANY; method++) {
        size_t gap = len > 0 ? 2 : 0;
        size_t name_len = strlen(method_names[method]);
        if (!(allow & method_bit(method)) || len + gap + name_len >= size)
            continue;
        memcpy(buf + len, ", ", gap);
        memcpy(buf + len + gap, method_names[method], name_len + 1);
        len += gap + name_len;
    }
    return len;
}

uint32_t method_answered(enum method method)
{
    if (method == ANY)
        return method_bit(ANY) - 1;
    return method == GET ? method_bit(GET) | method_bit(HEAD) : method_bit(method);
}
