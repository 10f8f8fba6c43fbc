/* Media types of files, by the extension of their name. */
#ifndef HTTP_MIME_H
#define HTTP_MIME_H

/* The Content-Type of a file ("text/html; charset=utf-8"); of an unknown one
 * "application/octet-stream". Static text. */
const char *mime_type(const char *path);

#endif
