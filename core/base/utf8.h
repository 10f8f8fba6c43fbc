/* UTF-8: is it, and where does it stop being it. Overlong forms, surrogates and anything past
 * U+10FFFF are not UTF-8. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* How many bytes the first character has (1 to 4), or 0: it is not UTF-8, or cut off. */
size_t utf8_char(const char *text, size_t len);
bool utf8_is_valid(const char *text, size_t len);

#endif
