/* What topics and sockets add to the answers of an application: long-polls, event streams,
 * WebSockets. */
#ifndef PUSH_PUSH_H
#define PUSH_PUSH_H

void push_start(void); /* once in a process, before there are other threads */

#endif
