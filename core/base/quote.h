/* JSON strings: text in quotes with its escapes. */
#ifndef BASE_QUOTE_H
#define BASE_QUOTE_H

#include "base/bytes.h"

/* Appends `text` as a JSON string. 0, -EILSEQ: it is not UTF-8, or -ENOMEM; on failure `out` keeps
 * its length. */
int quote_json(struct bytes *out, const char *text, size_t len);

#endif
