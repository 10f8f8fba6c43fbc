/* What a head must keep to beyond what llhttp checks: the request line, Host, Expect and the
 * framing. */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "http/request.h"

/* Fills path, query, host and framing of a request whose head is complete. 0, or -1 with its
 * refusal set. */
int head_check(struct request *rq);

#endif
