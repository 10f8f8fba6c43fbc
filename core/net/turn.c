/* The budget of a turn, and the queue of connections that wait for theirs: see turn.h. */
#include "net/turn.h"

#include "net/conn_state.h"
#include "net/loop.h"
#include "net/outbox.h"

#include <time.h>

#define FIRST_SHARE_NS 250000 /* while nobody queues */
#define LONG_STEP_NS 25000    /* the clock is looked at after each that takes more */
#define LONG_NS 50000         /* of a connection that is served */
#define MUCH 2
#define HEAVY 3
#define WEIGHT_MAX 7
#define LEAST_NS 125000 /* of a slice that begins late in its turn */
#define HALF_NS (TURN_SLICE_NS / 2)
#define QUEUE_NS (TURN_NS - TURN_SLICE_NS)

static const uint64_t slices_ns[TURN_KINDS] = {
    [TURN_INPUT] = TURN_SLICE_NS, [TURN_DEADLINES] = HALF_NS, [TURN_TASKS] = TURN_SLICE_NS,
    [TURN_FEEDS] = TURN_SLICE_NS, [TURN_WRITES] = HALF_NS,    [TURN_FILES] = HALF_NS,
};

void turn_init(struct turn *turn)
{
    *turn =
        (struct turn){.steps = TURN_STEPS, .most_steps = TURN_STEPS, .share_ns = FIRST_SHARE_NS};
    list_init(&turn->light);
    list_init(&turn->heavy);
}

void turn_end(struct turn *turn)
{
    if (turn->start_ns == 0)
        return;
    turn->start_ns = 0;
    turn->steps = TURN_STEPS;
    turn->is_crowded = turn->queued > 0;
    for (int kind = 0; kind < TURN_KINDS; kind++)
        turn->end_ns[kind] = 0;
}

static void read_clock(struct turn *turn)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    turn->now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

bool turn_ends(struct turn *turn, enum turn_kind kind)
{
    read_clock(turn);
    return turn_is_over(turn, kind);
}

void turn_look(struct turn *turn)
{
    read_clock(turn);
    turn->steps = 0;
    if (turn->start_ns == 0)
        turn->start_ns = turn->now_ns;
    if (turn->end_ns[TURN_INPUT] == 0)
        return;
    bool is_over = turn_is_over(turn, TURN_INPUT);
    turn->is_spent = is_over || turn->now_ns >= turn->entered_ns + turn->share_ns;
    turn->is_crowded = is_over || turn->queued > 0;
}

void turn_look_again(struct turn *turn)
{
    uint64_t before_ns = turn->now_ns;
    bool is_first = turn->start_ns == 0;
    uint64_t steps = turn->most_steps;
    turn_look(turn);
    if (!is_first)
        turn->most_steps = turn->now_ns - before_ns > steps * LONG_STEP_NS ? 1 : TURN_STEPS;
}

static void turn_begin_share(struct turn *turn, enum turn_kind kind)
{
    if (turn->end_ns[kind] != 0)
        return;
    uint64_t turn_end_ns = turn->start_ns + TURN_NS;
    uint64_t end_ns = turn->now_ns + slices_ns[kind];
    uint64_t least_ns = turn->now_ns + LEAST_NS;
    end_ns = end_ns < turn_end_ns ? end_ns : turn_end_ns;
    turn->end_ns[kind] = end_ns > least_ns ? end_ns : least_ns;
}

void turn_look_in(struct turn *turn)
{
    turn_look_again(turn);
    turn_begin_share(turn, TURN_INPUT);
}

void turn_begin(struct turn *turn, enum turn_kind kind)
{
    turn_look(turn);
    turn_begin_share(turn, kind);
}

/* ---- the queue ---- */

/* Once does not count: whoever is served while other processes have the core seems to take long. */
void turn_weigh(struct conn *conn, bool is_much)
{
    if (is_much)
        conn->weight = conn->weight + MUCH < WEIGHT_MAX ? conn->weight + MUCH : WEIGHT_MAX;
    else if (conn->weight > 0)
        conn->weight--;
}

void turn_queue(struct conn *conn)
{
    struct turn *turn = &conn_loop(conn)->turn;
    conn->is_queued = true;
    turn->is_crowded = true;
    turn->queued++;
    list_push(conn->weight >= HEAVY ? &turn->heavy : &turn->light, &conn->stopped_link);
}

void turn_forget(struct conn *conn)
{
    if (!conn->is_queued)
        return;
    conn->is_queued = false;
    conn_loop(conn)->turn.queued--;
    list_remove(&conn->stopped_link);
}

/* What is left of its time, at least half a slice, is for those who wait now. */
static void divide(struct turn *turn)
{
    turn_look(turn);
    uint64_t end_ns = turn->start_ns + QUEUE_NS;
    uint64_t least_ns = turn->now_ns + HALF_NS;
    turn->was_light = false;
    turn->end_ns[TURN_INPUT] = end_ns > least_ns ? end_ns : least_ns;
    turn->share_ns = (turn->end_ns[TURN_INPUT] - turn->now_ns) / turn->queued;
}

static struct conn *take_next(struct turn *turn)
{
    bool is_light =
        !list_is_empty(&turn->light) && (!turn->was_light || list_is_empty(&turn->heavy));
    struct list *queue = is_light ? &turn->light : &turn->heavy;
    struct conn *conn = container_of(queue->next, struct conn, stopped_link);
    turn->was_light = is_light;
    turn_forget(conn);
    return conn;
}

void turn_serve(struct loop *loop)
{
    struct turn *turn = &loop->turn;
    if (turn->queued == 0)
        return;
    divide(turn);
    while (turn->queued > 0 && !turn_is_over(turn, TURN_INPUT)) {
        struct conn *conn = take_next(turn);
        turn_enter(turn);
        conn_serve(conn); /* may queue it again */
        turn_look(turn);
        if (!conn->is_queued) /* else it was weighed */
            turn_weigh(conn, turn->now_ns - turn->entered_ns > LONG_NS);
    }
    turn->share_ns = FIRST_SHARE_NS;
}
