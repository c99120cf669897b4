/* Which stages a level has. */
#include "stage.h"

const fg_stage *const *fg_stages_of(const fg_plan *plan, int level) {
    static const fg_stage *const input[] = {&fg_input_stage, NULL};
    static const fg_stage *const hidden[] = {&fg_linear_stage, NULL};
    static const fg_stage *const output[] = {&fg_linear_stage, &fg_loss_stage, NULL};
    return level == 0 ? input : level < plan->net->layers ? hidden : output;
}
