/* UTF-8: is it, and where does it stop being it. Overlong forms, surrogates and anything past
 * U+10FFFF are not UTF-8. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

size_t utf8_char(const char *text, size_t len); /* bytes of the first character (1 to 4), or 0: not
                                                   UTF-8 */
bool utf8_is_valid(const char *text, size_t len);

#endif
