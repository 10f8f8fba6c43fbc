/* What went wrong in a transfer, in a few words. */
#ifndef CLIENT_HTTP_ERROR_H
#define CLIENT_HTTP_ERROR_H

#include <stddef.h>

#define HTTP_ERROR_SIZE 256

/* `code` is curl's, `os_error` the errno of a failed connect or 0, `detail` curl's sentence. */
void http_error_text(char *text, size_t size, int code, int os_error, const char *detail);

#endif
