/* Instruction sets as sets of capabilities: what each is based on, and tables that leave kernels out. */
#include "networks.h"
#include "network.h"

static void test_bases(void) {
    for (int isa = 0; isa < FG_ISAS; isa++) {
        const fg_isa base = fg_isa_based_on((fg_isa)isa);
        CASE("%s", fg_isa_name((fg_isa)isa));
        CHECK((int)base < isa || isa == 0, "based on %s", fg_isa_name(base));
        CHECK(!fg_isa_supported((fg_isa)isa) || fg_isa_supported(base), "is supported, but %s is not",
              fg_isa_name(base));
        CHECK(!fg_isa_supported((fg_isa)isa) || (int)fg_best_isa() >= isa, "is preferred to the best");
    }
    CHECK(fg_isa_supported(fg_best_isa()) && fg_isa_supported((fg_isa)0), "the best and the last resort");
}

static int fills;
static void counted_fill(const struct fg_fill_args *p) {
    fills++;
    fg_find_kernels(FG_ISA_scalar, FG_F32)->fill(p);
}

/* A table of a single kernel, and one that is not even that. */
static void test_partial_table(void) {
    const fg_kernels *base = fg_find_kernels(FG_ISA_scalar, FG_F32);
    const fg_kernels one = {.isa = FG_ISA_scalar, .dtype = FG_F32, .fill = counted_fill}, none = {.dtype = FG_F32};
    float x[3] = {0};
    const struct fg_fill_args args = {3, 2.0, x};
    fg_kernels made;
    CASE("partial table");
    CHECK(fg_complete_kernels(&made, &one, base), "is refused");
    CHECK(made.lanes == base->lanes && made.panel_vecs == base->panel_vecs, "packs in another way");
    CHECK(made.fill == counted_fill && !one.norm, "its own kernel is replaced, or it is changed itself");
    made.fill(&args);
    CHECK(fills == 1 && x[0] == 2.0f && x[2] == 2.0f, "its own kernel is not called");
    made.fill = base->fill;
#define FG_KERNEL(name) CHECK(made.name == base->name, #name " is not the base's");
#include "kernels.def"
#undef FG_KERNEL
    CHECK(fg_complete_kernels(&made, &none, base), "an empty one is refused");
    CHECK(made.norm == base->norm && made.fill == base->fill, "an empty one is not the base");
}

/* Takes the packed kernels, and the way of packing, from one table. */
static fg_kernels packed_kernels_of(const fg_kernels *from) {
    fg_kernels table = {.isa = from->isa, .dtype = from->dtype, .lanes = from->lanes, .panel_vecs = from->panel_vecs};
#define FG_KERNEL(name)
#define FG_PACKED_KERNEL(name) table.name = from->name;
#include "kernels.def"
#undef FG_KERNEL
    return table;
}

static void test_another_packing_needs_all_its_kernels(fg_isa isa, fg_dtype dtype) {
    const fg_kernels *from = fg_find_kernels(isa, dtype), *base = fg_find_kernels(FG_ISA_scalar, dtype);
    const fg_kernels whole = packed_kernels_of(from);
    fg_kernels made;
    CASE("%s %s over scalar", fg_isa_name(isa), real_name(dtype));
    CHECK(fg_complete_kernels(&made, &whole, base), "is refused");
    CHECK(made.lanes == from->lanes && made.panel_vecs == from->panel_vecs, "packs as its base does");
    CHECK(made.loss == base->loss && made.pack == from->pack, "a kernel is not whose it should be");
#define FG_KERNEL(name)
#define FG_PACKED_KERNEL(name)                                                                                         \
    {                                                                                                                  \
        fg_kernels lacking = whole;                                                                                    \
        lacking.name = NULL;                                                                                           \
        CHECK(!fg_complete_kernels(&made, &lacking, base) || from->lanes == base->lanes, #name " is not missed");      \
    }
#include "kernels.def"
#undef FG_KERNEL
}

/* A step by packed kernels of one table and all others from scalar's changes the weights as a step by either. */
static void test_mixed_table_trains(fg_isa isa, fg_dtype dtype) {
    enum { IN = 13, HIDDEN = 37, OUT = 5, ROWS = 21, STEPS = 3 };
    shape s = {.isa = isa, .dtype = dtype, .layers = 2, .has_bias = 1, .sizes = {IN, HIDDEN, OUT}};
    const fg_optimizer_config sgd = {.kind = FG_OPTIMIZER_sgd, .lr = 0.05};
    const fg_kernels packed = packed_kernels_of(fg_find_kernels(isa, dtype));
    void *const inputs = new_reals(dtype, ROWS * IN, -1, 1), *const targets = new_reals(dtype, ROWS * OUT, -1, 1);
    double weights[2][HIDDEN * OUT], loss[2];
    fg_kernels mixed;
    s.activations[0] = FG_ACTIVATION_tanh;
    s.activations[1] = FG_ACTIVATION_identity;
    CASE("%s %s trains over scalar", fg_isa_name(isa), real_name(dtype));
    CHECK(fg_complete_kernels(&mixed, &packed, fg_find_kernels(FG_ISA_scalar, dtype)), "is refused");
    for (int is_mixed = 0; is_mixed < 2; is_mixed++) {
        const fg_batch batch = {.rows = ROWS, .inputs = inputs, .targets = targets};
        fg_network *net;
        fg_plan *plan;
        char out[HIDDEN * OUT * sizeof(double)];
        random_state = 7;
        net = new_network(&s);
        if (is_mixed)
            net->kernels = &mixed;
        fg_training *const training = new_training_with(net, sgd);
        CHECK(!fg_plan_create(&plan, net, ROWS, FG_KEEPS_LEVELS), "memory");
        for (int step = 0; step < STEPS; step++)
            CHECK(!step_on(plan, &batch, FG_LOSS_mse, training, &loss[is_mixed], NULL), "diverges");
        fg_network_get_weights(net, 1, out);
        for (int i = 0; i < HIDDEN * OUT; i++)
            weights[is_mixed][i] = real_at(dtype, out, i);
        fg_plan_destroy(plan);
        fg_training_destroy(training);
        fg_network_destroy(net);
    }
    CHECK(fabs(loss[0] - loss[1]) <= 1e3 * real_epsilon(dtype), "losses %g and %g", loss[0], loss[1]);
    for (int i = 0; i < HIDDEN * OUT; i++)
        CHECK(fabs(weights[0][i] - weights[1][i]) <= 1e3 * real_epsilon(dtype), "weight %d: %g and %g", i,
              weights[0][i], weights[1][i]);
    free(inputs);
    free(targets);
}

int main(void) {
    test_bases();
    test_partial_table();
    FOR_EACH_ISA(isa)
    for (int dtype = 0; dtype < FG_DTYPES; dtype++) {
        test_another_packing_needs_all_its_kernels((fg_isa)isa, (fg_dtype)dtype);
        test_mixed_table_trains((fg_isa)isa, (fg_dtype)dtype);
    }
    return EXIT_SUCCESS;
}
