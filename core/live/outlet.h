/* An outlet: a worker's side of all topics. It delivers, once per loop turn, to the feeds of that
 * worker, which owns it. */
#ifndef LIVE_OUTLET_H
#define LIVE_OUTLET_H

struct hub;
struct loop;
struct outlet;

struct outlet *outlet_new(struct hub *hub, struct loop *loop);
/* On the loop's thread, before loop_deinit and not from a feed's callback; no feed may be open.
 * Others may publish meanwhile. */
void outlet_free(struct outlet *outlet);
struct hub *outlet_hub(const struct outlet *outlet);

#endif
