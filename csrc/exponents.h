/* The exponents of the backward signal, as the drivers see them. */
#ifndef FG_EXPONENTS_H
#define FG_EXPONENTS_H
#include "plan.h"

/* The power of two that `level` is multiplied by as it is computed from the level above. Every thread finds the same. */
int fg_block_move(const fg_plan *, int level, int64_t block);

/* Brings the blocks of a share to the one exponent of the level, which is returned. All blocks have been computed. */
int fg_align_blocks(fg_plan *, int level, fg_share);
#endif
