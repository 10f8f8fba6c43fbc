/* Values of SQLite as bytes: see sqlite_cell.h. One byte for the type, eight for a number or a
 * length. */
#include "client/sqlite_cell.h"

#include <string.h>

#define HEAD_SIZE (1 + sizeof(uint64_t))

static bool has_bytes(const struct cell *cell)
{
    return cell->type == CELL_TEXT || cell->type == CELL_BLOB;
}

int sqlite_cell_write(struct bytes *out, const struct cell *cell)
{
    char head[HEAD_SIZE] = {(char)cell->type};
    size_t head_len = cell->type == CELL_NULL ? 1 : HEAD_SIZE;
    size_t len = has_bytes(cell) ? cell->len : 0;
    memcpy(head + 1, &cell->integer, sizeof(uint64_t)); /* whichever of the three it is */

    int err = bytes_try_reserve(out, head_len + len);
    if (err)
        return err;
    bytes_append(out, head, head_len);
    if (len > 0)
        bytes_append(out, cell->data, len);
    return 0;
}

const char *sqlite_cell_read(const char *at, struct cell *cell)
{
    cell->type = (enum cell_type) * at;
    cell->integer = 0;
    cell->data = NULL;
    if (cell->type == CELL_NULL)
        return at + 1;
    memcpy(&cell->integer, at + 1, sizeof(uint64_t));
    if (!has_bytes(cell))
        return at + HEAD_SIZE;
    cell->data = at + HEAD_SIZE;
    return cell->data + cell->len;
}
