/* Networks: creation, and the way in and out of their parameters. */
#include "packing.h"
#include "fpenv.h"
#include "layout.h"
#include <stdlib.h>

static void carve_network(void *owner, fg_arena *arena) {
    fg_network *net = owner;
    for (int l = 0; l < net->layers; l++)
        net->layer[l].weights = fg_arena_take(arena, net->layer[l].parameters, net->element_size);
}

/* Of the steepest derivative; below it a unit counts as saturated. */
static const double SATURATED_SHARE = 0.05;

static fg_layer describe_layer(const fg_network *net, int64_t fan_in, int64_t fan_out, fg_activation activation) {
    static const struct {
        fg_form form;
        double derivative_below, steepest;
    } traits[] = {
#define FG_ACTIVATION(name, form, derivative_below, steepest) {FG_##form, derivative_below, steepest},
#include "activations.def"
#undef FG_ACTIVATION
    };
    fg_layer layer = {.fan_in = fan_in, .fan_out = fan_out, .activation = activation};
    layer.depth = fan_in + net->has_bias;
    layer.vecs = fg_vecs(fan_out, net->kernels->lanes);
    layer.panels = fg_panels(layer.vecs, net->kernels->panel_vecs);
    layer.form = traits[activation].form;
    layer.derivative_stored = layer.form != FG_HOMOGENEOUS;
    layer.derivative_below = traits[activation].derivative_below;
    layer.saturation = layer.derivative_stored ? SATURATED_SHARE * traits[activation].steepest : 0.0;
    layer.parameters = fg_count(layer.depth, layer.vecs * net->kernels->lanes);
    return layer;
}

static const float one_f32 = 1.0f;
static const double one_f64 = 1.0;

fg_status fg_network_create(fg_network **out, fg_isa isa, fg_dtype dtype, int layers, const int64_t *sizes,
                            const fg_activation *activations, int has_bias) {
    fg_network *net = calloc(1, sizeof *net);
    if (!net)
        return FG_ERR_MEMORY;
    net->kernels = fg_find_kernels(isa, dtype);
    net->layers = layers;
    net->has_bias = has_bias;
    net->element_size = dtype == FG_F32 ? sizeof one_f32 : sizeof one_f64;
    net->one = dtype == FG_F32 ? (const void *)&one_f32 : &one_f64;
    net->layer = calloc((size_t)layers, sizeof *net->layer);
    if (net->layer)
        for (int l = 0; l < layers; l++)
            net->layer[l] = describe_layer(net, sizes[l], sizes[l + 1], activations[l]);
    if (!net->layer || fg_arena_build(&net->arena, carve_network, net)) {
        fg_network_destroy(net);
        return FG_ERR_MEMORY;
    }
    *out = net;
    return FG_OK;
}

void fg_network_destroy(fg_network *net) {
    if (!net)
        return;
    fg_arena_free(&net->arena);
    free(net->layer);
    free(net);
}

static double norm_of(const fg_network *net, int64_t n, const void *x) {
    double norm;
    const struct fg_norm_args args = {.n = n, .x = x, .norm = &norm};
    const fg_fpenv caller = fg_fpenv_enter();
    net->kernels->norm(&args);
    fg_fpenv_leave(caller);
    return norm;
}

void fg_network_set_weights(fg_network *net, int l, const void *weights) {
    net->layer[l].weight_bound = norm_of(net, net->layer[l].fan_in * net->layer[l].fan_out, weights);
    fg_pack(net, l, net->layer[l].weights, 0, net->layer[l].fan_in, weights);
}

void fg_network_get_weights(const fg_network *net, int l, void *weights) {
    fg_unpack(net, l, net->layer[l].weights, 0, net->layer[l].fan_in, weights);
}

void fg_network_set_bias(fg_network *net, int l, const void *bias) {
    net->layer[l].bias_bound = norm_of(net, net->layer[l].fan_out, bias);
    fg_pack(net, l, net->layer[l].weights, net->layer[l].fan_in, net->has_bias, bias);
}

void fg_network_get_bias(const fg_network *net, int l, void *bias) {
    fg_unpack(net, l, net->layer[l].weights, net->layer[l].fan_in, net->has_bias, bias);
}
