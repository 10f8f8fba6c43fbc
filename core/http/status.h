/* The reason phrases of HTTP status codes. */
#ifndef HTTP_STATUS_H
#define HTTP_STATUS_H

const char *status_reason(int status); /* static text; "Unknown" for a code nobody registered */

#endif
