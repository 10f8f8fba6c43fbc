/* The settings of a server from one reload to the next: reads them again before a generation is
 * built, keeps what cannot change while the server runs, and lets go of the old ones when nobody
 * uses them any more. The server owns it. Main thread. */
#ifndef CONFIG_RENEWAL_H
#define CONFIG_RENEWAL_H

#include "base/bytes.h"
#include "config/config.h"

struct renewal {
    const struct config_inputs *inputs; /* what they are read from, each time */
    const struct config *config;        /* in effect */

    struct config *own;  /* that, once a reload has read it */
    struct config *next; /* for the generation that is being built */
    struct bytes notes;  /* what of `next` or `own` needs a restart: a line each; empty: nothing */
};

/* The caller has set what is above the blank line. */
void renewal_init(struct renewal *renewal);
void renewal_deinit(struct renewal *renewal);
/* The settings for the next generation; NULL, with the reason in `error`, when they are wrong. */
const struct config *renewal_begin(struct renewal *renewal, struct bytes *error);
/* Whether that generation serves. Nobody may use the settings any more that are not in effect. */
void renewal_end(struct renewal *renewal, bool serves);

#endif
