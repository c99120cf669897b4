/* The store of gradients: what a step that cannot have it must not touch, and trainings that take turns on a plan and
 * ask different things of it. */
#include "check.h"
#include "networks.h"
#include "plan.h"

/* The engine's memory comes from here, until there is none. */
static int memory_is_gone;
void *aligned_alloc(size_t alignment, size_t size) {
    void *at;
    return memory_is_gone || posix_memalign(&at, alignment, size) ? NULL : at;
}

static const fg_clip_config clips[] = {{FG_CLIP_none, 0, 0, 0},
                                       {FG_CLIP_value, 0x1p-9, 0, 0},
                                       {FG_CLIP_norm, 0.01, 1e-6, 0},
                                       {FG_CLIP_layer_norm, 0.01, 1e-6, 0},
                                       {FG_CLIP_adaptive, 1e-3, 1e-3, 1}};
enum { LAYERS = 3, ROWS = 30, CASES = 2 * FG_CLIPS };

/* Each clip in steps that are certain, and in steps that have to be tried. */
static fg_training *training_of_case(const fg_network *net, int i) {
    const fg_training_config config = {.optimizer = {.kind = FG_OPTIMIZER_adam,
                                                     .lr = i < FG_CLIPS ? 1e-3 : 0x1p11,
                                                     .beta1 = 0.9,
                                                     .beta2 = 0.99,
                                                     .eps = 1e-8},
                                       .clip = clips[i % FG_CLIPS]};
    fg_training *training;
    CHECK(fg_training_create(&training, net, &config) == FG_OK, "no training");
    return training;
}

/* Parameters, states, and all that is remembered of a training. */
static uint64_t digest_everything(const fg_network *net, const fg_training *o) {
    uint64_t sum = digest(1, &o->steps, sizeof o->steps);
    sum = digest(sum, &o->average_bound, sizeof o->average_bound);
    for (int l = 0; l < net->layers; l++) {
        const fg_layer *layer = &net->layer[l];
        sum = digest(sum, &layer->weight_bound, sizeof layer->weight_bound);
        sum = digest(sum, &layer->bias_bound, sizeof layer->bias_bound);
        sum = digest(sum, layer->weights, layer->parameters * net->element_size);
        for (int s = 0; s < o->state_count; s++)
            sum = digest(sum, o->state[s][l], layer->parameters * net->element_size);
        sum = digest(sum, o->liveness->dead_for[l], (size_t)layer->fan_out * sizeof **o->liveness->dead_for);
    }
    return digest(sum, &o->liveness->seen, sizeof o->liveness->seen);
}

typedef struct {
    shape s;
    fg_network *net;
    void *x, *y;
    fg_batch batch;
} rig;

static rig new_rig(fg_isa isa, fg_dtype dtype) {
    rig r = {.s = {isa, dtype, LAYERS, 1, {7, 70, 33, 4}, {FG_ACTIVATION_tanh, FG_ACTIVATION_relu}}};
    r.net = new_network(&r.s);
    r.x = new_reals(dtype, ROWS * 7, -1, 1), r.y = new_reals(dtype, ROWS * 4, -1, 1);
    r.batch = (fg_batch){.rows = ROWS, .inputs = r.x, .targets = r.y};
    return r;
}

static void destroy_rig(rig *r) {
    fg_network_destroy(r->net);
    free(r->x), free(r->y);
}

static void test_no_memory(fg_isa isa, fg_dtype dtype, fg_plan_memory memory) {
    for (int i = 0; i < CASES; i++) {
        double loss, statistics[FG_STATISTICS * LAYERS], dw[7 * 70];
        rig r = new_rig(isa, dtype);
        fg_plan *const plan = new_plan(r.net, ROWS, memory);
        fg_training *const training = training_of_case(r.net, i);
        fg_status status;
        uint64_t before;
        CASE("%s %s without memory, clip %s, %s", fg_isa_name(isa), real_name(dtype),
             fg_clip_name(clips[i % FG_CLIPS].kind), i < FG_CLIPS ? "certain" : "in doubt");
        CHECK(fg_training_watch(training, 5) == FG_OK, "no liveness");
        before = digest_everything(r.net, training);
        memory_is_gone = 1;
        status = step_on(plan, &r.batch, FG_LOSS_mse, training, &loss, statistics);
        memory_is_gone = 0;
        const int waits = i >= FG_CLIPS || clips[i].kind > FG_CLIP_value;
        const int has_it = memory == FG_KEEPS_GRADIENTS && clips[i % FG_CLIPS].kind <= FG_CLIP_value;
        CHECK(status == (waits && !has_it ? FG_ERR_MEMORY : FG_OK), "status %d", (int)status);
        CHECK((digest_everything(r.net, training) == before) == (status != FG_OK), "what changes");
        if (memory == FG_KEEPS_GRADIENTS) { /* still does what it is for */
            fg_plan_gradients(plan, &r.batch, &(const fg_loss_config){FG_LOSS_mse}, &loss);
            fg_plan_get_weight_gradient(plan, 0, dw);
        }
        CHECK(step_on(plan, &r.batch, FG_LOSS_mse, training, &loss, statistics) == FG_OK,
              "no step once there is memory");
        fg_training_destroy(training);
        fg_plan_destroy(plan);
        destroy_rig(&r);
    }
}

/* Trainings of one network by turns: on one plan, or on a plan for each. */
static uint64_t take_turns(fg_isa isa, fg_dtype dtype, int share) {
    random_state = 3;
    rig r = new_rig(isa, dtype);
    fg_training *training[CASES];
    fg_plan *plan[CASES];
    uint64_t sum = 0;
    for (int i = 0; i < CASES; i++) {
        plan[i] = i && share ? plan[0] : new_plan(r.net, ROWS, FG_KEEPS_LEVELS);
        training[i] = training_of_case(r.net, i);
    }
    for (int step = 0; step < 4 * CASES; step++) {
        const int i = step * 3 % CASES;
        double statistics[FG_STATISTICS * LAYERS], loss;
        const fg_status status = step_on(plan[i], &r.batch, FG_LOSS_mse, training[i], &loss, statistics);
        sum = digest(digest(sum, &status, sizeof status), &loss, sizeof loss);
        sum = digest(sum, statistics, sizeof statistics);
    }
    sum = digest(sum, &(uint64_t){digest_parameters(r.net, &r.s)}, sizeof sum);
    for (int i = 0; i < CASES; i++) {
        fg_training_destroy(training[i]);
        if (i == 0 || !share)
            fg_plan_destroy(plan[i]);
    }
    destroy_rig(&r);
    return sum;
}

int main(void) {
    fg_set_threads(1);
    FOR_EACH_ISA(isa)
    for (int dtype = 0; dtype < FG_DTYPES; dtype++) {
        test_no_memory((fg_isa)isa, (fg_dtype)dtype, FG_KEEPS_LEVELS);
        test_no_memory((fg_isa)isa, (fg_dtype)dtype, FG_KEEPS_GRADIENTS);
        CASE("%s %s turns", fg_isa_name((fg_isa)isa), real_name((fg_dtype)dtype));
        CHECK(take_turns((fg_isa)isa, (fg_dtype)dtype, 1) == take_turns((fg_isa)isa, (fg_dtype)dtype, 0),
              "sharing a plan changes something");
    }
    return EXIT_SUCCESS;
}
