/* OpenSSL, put in order before anybody is served: what it makes at its first use can fail for want
 * of memory, and then it is left half made. */
#ifndef NET_CRYPTO_H
#define NET_CRYPTO_H

int crypto_begin(void);         /* once, before any thread; 0, or -1 and why on stderr */
void crypto_begin_thread(void); /* in each thread that serves: what OpenSSL keeps for one */

#endif
