/* neap.keep: tables of plain data that the next generation of the same worker takes over. */
#ifndef LIFE_KEPT_H
#define LIFE_KEPT_H

#include <lua.h>
#include <stdbool.h>

struct vm;

#define KEPT_ERROR_SIZE 200

/* Whether all kept tables of a state can travel; else a sentence that names what cannot. */
bool kept_can_travel(struct vm *vm, char error[KEPT_ERROR_SIZE]);
/* The states change: each table that both have is filled with what it holds now in the old one. */
void kept_take_over(struct vm *from, struct vm *to);

#endif
