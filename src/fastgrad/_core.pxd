# The C engine's header as Cython sees it. Nothing is defined here.
from libc.stdint cimport int32_t, int64_t

cdef extern from "fastgrad.h" nogil:
    ctypedef enum fg_status:
        FG_OK
        FG_ERR_MEMORY
        FG_ERR_DIVERGED
    ctypedef enum fg_dtype:
        FG_F32
        FG_F64
    ctypedef enum fg_isa:
        FG_ISAS
    ctypedef enum fg_activation:
        FG_ACTIVATIONS
    ctypedef enum fg_loss:
        FG_LOSSES
    ctypedef enum fg_optimizer_kind:
        FG_OPTIMIZERS
    ctypedef enum fg_clip_kind:
        FG_CLIPS
    ctypedef enum fg_statistic:
        FG_STATISTICS
    ctypedef enum fg_tensor:
        pass
    ctypedef enum fg_unary:
        FG_UNARIES
    ctypedef enum fg_plan_memory:
        FG_KEEPS_OUTPUTS
        FG_KEEPS_LEVELS
        FG_KEEPS_GRADIENTS

    ctypedef struct fg_network:
        pass
    ctypedef struct fg_training:
        pass
    ctypedef struct fg_plan:
        pass
    ctypedef struct fg_culprit:
        int layer
        fg_tensor tensor
        int64_t count, sample
    ctypedef struct fg_optimizer_config:
        fg_optimizer_kind kind
        double lr, weight_decay
        int decoupled
        double momentum, dampening
        int nesterov
        double beta1, beta2, eps
    ctypedef struct fg_loss_config:
        fg_loss kind
    ctypedef struct fg_clip_config:
        fg_clip_kind kind
        double bound, eps
        int output
    ctypedef struct fg_training_config:
        fg_optimizer_config optimizer
        fg_loss_config loss
        fg_clip_config clip
    ctypedef struct fg_step_result:
        double loss, clip_norm
    ctypedef struct fg_batch:
        int64_t first, rows
        const void *inputs
        const void *targets
        const int64_t *labels
        const int64_t *order

    const char *fg_activation_name(fg_activation)
    const char *fg_optimizer_name(fg_optimizer_kind)
    const char *fg_loss_name(fg_loss)
    const char *fg_clip_name(fg_clip_kind)
    const char *fg_statistic_name(fg_statistic)
    const char *fg_tensor_name(fg_tensor)
    const char *fg_unary_name(fg_unary)
    const char *fg_isa_name(fg_isa)
    fg_isa fg_isa_based_on(fg_isa)
    int fg_isa_supported(fg_isa)
    fg_isa fg_best_isa()
    void fg_cpu_brand(char *brand)
    int fg_default_threads()
    void fg_set_threads(int threads)
    int fg_threads()

    fg_status fg_network_create(fg_network **out, fg_isa, fg_dtype, int layers, const int64_t *sizes,
                                const fg_activation *activations, int has_bias)
    void fg_network_destroy(fg_network *)
    void fg_network_set_weights(fg_network *, int layer, const void *weights)
    void fg_network_get_weights(const fg_network *, int layer, void *weights)
    void fg_network_set_bias(fg_network *, int layer, const void *bias)
    void fg_network_get_bias(const fg_network *, int layer, void *bias)

    int fg_optimizer_states(fg_optimizer_kind)
    fg_status fg_training_create(fg_training **out, const fg_network *, const fg_training_config *)
    void fg_training_destroy(fg_training *)
    int64_t fg_training_steps(const fg_training *)
    fg_status fg_training_watch(fg_training *, int32_t window)

    fg_status fg_plan_create(fg_plan **out, fg_network *, int64_t capacity, fg_plan_memory)
    void fg_plan_destroy(fg_plan *)
    void fg_plan_forward(fg_plan *, const fg_batch *, void *outputs)
    void fg_plan_scaled_forward(fg_plan *, const fg_batch *, void *outputs, int32_t *exponents)
    fg_status fg_plan_step(fg_plan *, fg_training *, const fg_batch *, fg_step_result *, double *statistics)
    fg_culprit fg_plan_culprit(const fg_plan *, const fg_batch *)
    void fg_plan_loss(fg_plan *, const fg_batch *, const fg_loss_config *, double *loss)
    void fg_plan_gradients(fg_plan *, const fg_batch *, const fg_loss_config *, double *loss)
    void fg_plan_backward(fg_plan *, const void *output_gradient)
    double fg_plan_log10_loss(const fg_plan *)
    int fg_plan_exponent(const fg_plan *, int layer, int of_bias)
    void fg_plan_get_weight_gradient(const fg_plan *, int layer, void *out)
    void fg_plan_get_bias_gradient(const fg_plan *, int layer, void *out)
    void fg_plan_get_input_gradient(const fg_plan *, void *out)
    void fg_plan_get_activation(const fg_plan *, int layer, void *out)
    void fg_plan_get_delta(const fg_plan *, int layer, void *out)
    void fg_plan_get_statistics(const fg_plan *, double *statistics)

    void fg_map_unary(fg_isa, fg_dtype, fg_unary, int64_t n, const void *x, void *y)
    void fg_map_activation(fg_isa, fg_dtype, fg_activation, int64_t n, const void *z, void *a, void *derivative)
    fg_status fg_op_forward(fg_isa, fg_dtype, fg_activation, int64_t rows, int64_t fan_in, int64_t fan_out,
                            const void *x, const void *w, const void *b, void *output, void *derivative,
                            double *moments)
    fg_status fg_op_backward_data(fg_isa, fg_dtype, int64_t rows, int64_t fan_in, int64_t fan_out, const void *delta,
                                  const void *w, const void *derivative, void *out, double *norm)
    fg_status fg_op_backward_weights(fg_isa, fg_dtype, int64_t rows, int64_t fan_in, int64_t fan_out, const void *x,
                                     const void *delta, void *dw, void *db, double *norms)
    fg_status fg_op_loss(fg_isa, fg_dtype, const fg_loss_config *, int64_t columns, const void *outputs,
                         const fg_batch *, void *gradient, double *value)
    fg_status fg_op_update(fg_isa, fg_dtype, const fg_optimizer_config *, int64_t steps, int64_t rows, int64_t columns,
                           void *w, const void *gradient, void *const *states, double *norms)
    double fg_seconds()
    double fg_fma_peak(fg_isa, fg_dtype, double seconds)
    int64_t fg_allocations()
    int64_t fg_first_nonfinite(fg_dtype, int64_t n, const void *x)
    int64_t fg_first_bad_label(int64_t n, const int64_t *labels, int64_t classes)
