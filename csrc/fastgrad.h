/* fastgrad's C engine: deep fully connected networks, trained by fused kernels that measure what they compute.
 *
 * This header is all that the Python binding sees. The engine knows no Python, checks no array (its callers do), and
 * prints nothing. Matrices are row-major; a sample is a row; layer l maps sizes[l] features to sizes[l + 1]. `void *`
 * data has the network's dtype. Every function leaves the caller's floating-point state as it found it. */
#ifndef FASTGRAD_H
#define FASTGRAD_H
#include <stdint.h>

typedef enum {
    FG_OK,
    FG_ERR_MEMORY,   /* an allocation failed; nothing was created */
    FG_ERR_DIVERGED, /* the loss of a step or an update is not finite; no parameter and no state has changed */
} fg_status;

typedef enum { FG_F32, FG_F64, FG_DTYPES } fg_dtype;

typedef enum {
#define FG_ISA(name, based_on) FG_ISA_##name,
#include "isas.def"
#undef FG_ISA
    FG_ISAS
} fg_isa;

typedef enum {
#define FG_ACTIVATION(name, form, derivative_below, steepest) FG_ACTIVATION_##name,
#include "activations.def"
#undef FG_ACTIVATION
    FG_ACTIVATIONS
} fg_activation;

typedef enum {
#define FG_LOSS(name, per_sample, degree, small_degree, reference) FG_LOSS_##name,
#include "losses.def"
#undef FG_LOSS
    FG_LOSSES
} fg_loss;

typedef enum {
#define FG_OPTIMIZER(name, states) FG_OPTIMIZER_##name,
#include "optimizers.def"
#undef FG_OPTIMIZER
    FG_OPTIMIZERS
} fg_optimizer_kind;

typedef enum {
#define FG_CLIP(name, waits) FG_CLIP_##name,
#include "clips.def"
#undef FG_CLIP
    FG_CLIPS
} fg_clip_kind;

typedef enum {
#define FG_STATISTIC(name) FG_STATISTIC_##name,
#include "statistics.def"
#undef FG_STATISTIC
    FG_STATISTICS
} fg_statistic;

typedef enum {
#define FG_TENSOR(name) FG_TENSOR_##name,
#include "tensors.def"
#undef FG_TENSOR
    FG_TENSORS
} fg_tensor;

const char *fg_activation_name(fg_activation);
const char *fg_optimizer_name(fg_optimizer_kind);
const char *fg_loss_name(fg_loss);
const char *fg_clip_name(fg_clip_kind);
const char *fg_statistic_name(fg_statistic);
const char *fg_tensor_name(fg_tensor);

/* The machine. */
const char *fg_isa_name(fg_isa);
fg_isa fg_isa_based_on(fg_isa); /* the next lower one; the lowest is based on itself */
int fg_isa_supported(fg_isa); /* by this processor and its operating system */
fg_isa fg_best_isa(void); /* the preferred one of these */
void fg_cpu_brand(char brand[49]); /* the processor's own name, or "" */

/* Threads: how many a step may use, the calling one included. */
int fg_default_threads(void); /* affinity mask and cgroup quota */
void fg_set_threads(int threads); /* at most 256 */
int fg_threads(void);

/* A network's parameters, kept packed for one instruction set. */
typedef struct fg_network fg_network;
fg_status fg_network_create(fg_network **out, fg_isa, fg_dtype, int layers, const int64_t *sizes /* [layers + 1] */,
                            const fg_activation *activations /* [layers] */, int has_bias);
void fg_network_destroy(fg_network *);
void fg_network_set_weights(fg_network *, int layer, const void *weights /* [fan_in][fan_out] */);
void fg_network_get_weights(const fg_network *, int layer, void *weights /* [fan_in][fan_out] */);
void fg_network_set_bias(fg_network *, int layer, const void *bias /* [fan_out] */);
void fg_network_get_bias(const fg_network *, int layer, void *bias /* [fan_out] */);

/* An optimizer: hyperparameters by PyTorch's names, and the state of one network's parameters. */
typedef struct {
    fg_optimizer_kind kind;
    double lr, weight_decay;
    int decoupled; /* adam: weight decay acts on the weights, not through the gradient (AdamW) */
    double momentum, dampening; /* sgd_momentum, rmsprop_*momentum */
    int nesterov;
    double beta1, beta2, eps; /* adam; beta2 is rmsprop's alpha */
} fg_optimizer_config;

int fg_optimizer_states(fg_optimizer_kind); /* how many arrays it keeps for each parameter array */

typedef struct {
    fg_loss kind;
} fg_loss_config;

/* What is done to gradients before an optimizer meets them. */
typedef struct {
    fg_clip_kind kind;
    double bound, eps;
    int output; /* adaptive: the output layer is clipped too */
} fg_clip_config;

typedef struct {
    fg_optimizer_config optimizer;
    fg_loss_config loss;
    fg_clip_config clip;
} fg_training_config;

/* How one network is trained, and what that remembers from step to step: the optimizer's state, and how long each unit
 * has been dead. */
typedef struct fg_training fg_training;
fg_status fg_training_create(fg_training **out, const fg_network *, const fg_training_config *);
void fg_training_destroy(fg_training *);
int64_t fg_training_steps(const fg_training *);
/* From now on a unit counts as dead where f' = 0 for every sample of the last `window` steps, or of all steps since
 * this call while they are fewer; steps without statistics are not counted. Without this call each step is judged
 * alone. */
fg_status fg_training_watch(fg_training *, int32_t window);

/* A plan: the workspace of up to `capacity` rows, and the schedule. One call at a time may use a network, its plans and
 * its trainings. */
typedef enum {
    FG_KEEPS_OUTPUTS,   /* of the last layer: for forward passes */
    FG_KEEPS_LEVELS,    /* and all that lies between the layers: for losses and steps */
    FG_KEEPS_GRADIENTS, /* and the gradients of parameters and input */
} fg_plan_memory;
typedef struct fg_plan fg_plan;
fg_status fg_plan_create(fg_plan **out, fg_network *, int64_t capacity, fg_plan_memory);
void fg_plan_destroy(fg_plan *);

/* A batch: row r is sample order[first + r], or first + r without an order, of inputs and of targets or labels. */
typedef struct {
    int64_t first, rows;
    const void *inputs; /* [..][sizes[0]] */
    const void *targets; /* [..][sizes[layers]], or NULL where labels serve */
    const int64_t *labels; /* [..] for cross_entropy, or NULL */
    const int64_t *order; /* [..], or NULL */
} fg_batch;

void fg_plan_forward(fg_plan *, const fg_batch *, void *outputs /* [rows][sizes[layers]], or NULL */);
/* The same for outputs of any size: those of row r are what is written times 2^exponents[r]. The rows of a block share
 * an exponent on their way; a row that may have been flushed beside larger ones passes once more, alone. The plan
 * keeps outputs only. */
void fg_plan_scaled_forward(fg_plan *, const fg_batch *, void *outputs, int32_t *exponents /* [rows] */);

typedef struct {
    double loss;      /* of the batch, before the update */
    double clip_norm; /* the norm that a clip by the global norm compared; NaN without one */
} fg_step_result;

/* One step of training. The plan keeps levels. With the first step whose gradients have to wait before they are
 * applied it takes memory for them; FG_ERR_MEMORY says that there was none. Unless the status is FG_OK no parameter
 * and no state has changed. Without statistics only those norms are taken that certify a step before it is applied. */
fg_status fg_plan_step(fg_plan *, fg_training *, const fg_batch *, fg_step_result *,
                       double *statistics /* [FG_STATISTICS][layers], or NULL */);

/* After a step of this batch that was refused: the first tensor of the first layer that left the range. */
typedef struct {
    int layer;
    fg_tensor tensor;
    int64_t count; /* of its entries that are not finite; 0 for the loss and an update, of which none are kept */
    int64_t sample; /* of the first row that has one, as numbered by the batch; -1 where rows are not samples */
} fg_culprit;
fg_culprit fg_plan_culprit(const fg_plan *, const fg_batch *);

/* The loss alone, changing nothing. The plan keeps levels. */
void fg_plan_loss(fg_plan *, const fg_batch *, const fg_loss_config *, double *loss);

/* Gradients of a loss, by forward and backward; or backward alone from dL/d(output), once after each fg_plan_forward of
 * the same rows, for it overwrites what forward kept. The plan keeps gradients. */
void fg_plan_gradients(fg_plan *, const fg_batch *, const fg_loss_config *, double *loss);
void fg_plan_backward(fg_plan *, const void *output_gradient /* [rows][sizes[layers]] */);
double fg_plan_log10_loss(const fg_plan *); /* of the magnitude of the loss that the last pass computed, at any size */
/* The next two leave an exponent out: true gradients are 2^fg_plan_exponent times as large. The others give true
 * values. */
int fg_plan_exponent(const fg_plan *, int layer, int of_bias);
void fg_plan_get_weight_gradient(const fg_plan *, int layer, void *out /* [fan_in][fan_out] */);
void fg_plan_get_bias_gradient(const fg_plan *, int layer, void *out /* [fan_out] */);
void fg_plan_get_input_gradient(const fg_plan *, void *out /* [rows][sizes[0]] */);
void fg_plan_get_delta(const fg_plan *, int layer, void *out /* [rows][fan_out] */);
void fg_plan_get_activation(const fg_plan *, int layer, void *out /* [rows][fan_out] */);
void fg_plan_get_statistics(const fg_plan *, double *statistics /* [FG_STATISTICS][layers] */);

/* Kernels on plain arrays, for tests and for the curious: each packs its arguments, runs one kernel on the calling
 * thread and unpacks the results. */
typedef enum {
#define FG_UNARY(name) FG_UNARY_##name,
#include "unary.def"
#undef FG_UNARY
    FG_UNARIES
} fg_unary;
const char *fg_unary_name(fg_unary);
void fg_map_unary(fg_isa, fg_dtype, fg_unary, int64_t n, const void *x, void *y);
void fg_map_activation(fg_isa, fg_dtype, fg_activation, int64_t n, const void *z, void *a, void *derivative);

fg_status fg_op_forward(fg_isa, fg_dtype, fg_activation, int64_t rows, int64_t fan_in, int64_t fan_out,
                        const void *x /* [rows][fan_in] */, const void *w /* [fan_in][fan_out] */,
                        const void *b /* [fan_out] */, void *output, void *derivative /* both [rows][fan_out] */,
                        double moments[3] /* mean, root mean square, mean |derivative| */);
fg_status fg_op_backward_data(fg_isa, fg_dtype, int64_t rows, int64_t fan_in, int64_t fan_out,
                              const void *delta /* [rows][fan_out] */, const void *w /* [fan_in][fan_out] */,
                              const void *derivative /* [rows][fan_in] */, void *out /* [rows][fan_in] */,
                              double *norm);
fg_status fg_op_backward_weights(fg_isa, fg_dtype, int64_t rows, int64_t fan_in, int64_t fan_out,
                                 const void *x /* [rows][fan_in] */, const void *delta /* [rows][fan_out] */,
                                 void *dw /* [fan_in][fan_out] */, void *db /* [fan_out] */,
                                 double norms[2] /* of dw and db */);
fg_status fg_op_loss(fg_isa, fg_dtype, const fg_loss_config *, int64_t columns,
                     const void *outputs /* [rows][columns] */, const fg_batch *, void *gradient /* [rows][columns] */,
                     double *value);
/* Applies gradient as step number steps + 1; w and the states are replaced. */
fg_status fg_op_update(fg_isa, fg_dtype, const fg_optimizer_config *, int64_t steps, int64_t rows, int64_t columns,
                       void *w, const void *gradient, void *const *states /* all [rows][columns] */,
                       double norms[2] /* of w before, and of the increment */);

double fg_seconds(void); /* of a clock that never goes back */
double fg_fma_peak(fg_isa, fg_dtype, double seconds); /* FLOP/s of one thread doing nothing but multiply-adds */
int64_t fg_allocations(void); /* arenas made so far by the calling thread */

/* Index of the first of n values that is not finite, or -1. */
int64_t fg_first_nonfinite(fg_dtype, int64_t n, const void *x);
/* How many of n values are not finite. */
int64_t fg_count_nonfinite(fg_dtype, int64_t n, const void *x);
/* Index of the first of n labels outside [0, classes), or -1. */
int64_t fg_first_bad_label(int64_t n, const int64_t *labels, int64_t classes);
#endif
