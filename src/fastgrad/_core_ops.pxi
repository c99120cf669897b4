# Kernels on plain arrays, for `fastgrad.ops` and the tests: every array is checked, then one kernel runs.

def map_unary(str isa, str dtype, str name, object x, object y):
    cdef Pinned a = pin(x, "x", kind_of(dtype), 1, ANY)
    cdef Pinned b = pin(y, "y", kind_of(dtype), 1, a.view.shape[0], ANY, True)
    fg_map_unary(ISAS[isa], DTYPES[dtype], <fg_unary> <int> UNARIES[name], a.view.shape[0], a.view.buf, b.view.buf)


def map_activation(str isa, str dtype, str name, object z, object a, object derivative):
    cdef Pinned x = pin(z, "z", kind_of(dtype), 1, ANY)
    cdef Pinned y = pin(a, "a", kind_of(dtype), 1, x.view.shape[0], ANY, True)
    cdef Pinned s = pin(derivative, "derivative", kind_of(dtype), 1, x.view.shape[0], ANY, True)
    fg_map_activation(ISAS[isa], DTYPES[dtype], ACTIVATIONS[name], x.view.shape[0], x.view.buf, y.view.buf, s.view.buf)


def op_forward(str isa, str dtype, str activation, object x, object w, object b, object output, object derivative):
    """Returns mean, root mean square and mean |derivative|."""
    cdef char kind = kind_of(dtype)
    cdef Py_ssize_t rows = x.shape[0], fan_in = w.shape[0], fan_out = w.shape[1]
    cdef Pinned px = pin(x, "x", kind, 2, rows, fan_in), pw = pin(w, "w", kind, 2, fan_in, fan_out)
    cdef Pinned pb = pin(b, "b", kind, 1, fan_out), po = pin(output, "output", kind, 2, rows, fan_out, True)
    cdef Pinned ps = pin(derivative, "derivative", kind, 2, rows, fan_out, True)
    cdef double moments[3]
    raise_for(fg_op_forward(ISAS[isa], DTYPES[dtype], ACTIVATIONS[activation], rows, fan_in, fan_out, px.view.buf,
                            pw.view.buf, pb.view.buf, po.view.buf, ps.view.buf, moments))
    return moments[0], moments[1], moments[2]


def op_backward_data(str isa, str dtype, object delta, object w, object derivative, object out):
    """Returns the norm of the new delta."""
    cdef char kind = kind_of(dtype)
    cdef Py_ssize_t rows = delta.shape[0], fan_in = w.shape[0], fan_out = w.shape[1]
    cdef Pinned pd = pin(delta, "delta", kind, 2, rows, fan_out), pw = pin(w, "w", kind, 2, fan_in, fan_out)
    cdef Pinned ps = pin(derivative, "derivative", kind, 2, rows, fan_in)
    cdef Pinned po = pin(out, "out", kind, 2, rows, fan_in, True)
    cdef double norm
    raise_for(fg_op_backward_data(ISAS[isa], DTYPES[dtype], rows, fan_in, fan_out, pd.view.buf, pw.view.buf,
                                  ps.view.buf, po.view.buf, &norm))
    return norm


def op_backward_weights(str isa, str dtype, object x, object delta, object dw, object db):
    """Returns the norms of dw and db."""
    cdef char kind = kind_of(dtype)
    cdef Py_ssize_t rows = x.shape[0], fan_in = x.shape[1], fan_out = delta.shape[1]
    cdef Pinned px = pin(x, "x", kind, 2, rows, fan_in), pd = pin(delta, "delta", kind, 2, rows, fan_out)
    cdef Pinned pw = pin(dw, "dw", kind, 2, fan_in, fan_out, True), pb = pin(db, "db", kind, 1, fan_out, ANY, True)
    cdef double norms[2]
    raise_for(fg_op_backward_weights(ISAS[isa], DTYPES[dtype], rows, fan_in, fan_out, px.view.buf, pd.view.buf,
                                     pw.view.buf, pb.view.buf, norms))
    return norms[0], norms[1]


def op_loss(str isa, str dtype, str loss, object outputs, object y, object gradient):
    """Returns the loss."""
    cdef fg_loss_config config = loss_config(loss)
    cdef char kind = kind_of(dtype)
    cdef Py_ssize_t rows = outputs.shape[0], columns = outputs.shape[1]
    cdef Pinned po = pin(outputs, "outputs", kind, 2, rows, columns)
    cdef Pinned pg = pin(gradient, "gradient", kind, 2, rows, columns, True), py
    cdef fg_batch batch
    cdef double value
    batch.first, batch.rows = 0, rows
    batch.inputs = batch.targets = batch.labels = batch.order = NULL
    if y.ndim == 1:
        if loss != "cross_entropy":
            raise ValueError("y: got no target matrix, which this loss wants")
        py = pin(y, "y", INT64, 1, rows)
        batch.labels = <const int64_t *> py.view.buf
    else:
        py = pin(y, "y", kind, 2, rows, columns)
        batch.targets = py.view.buf
    raise_for(fg_op_loss(ISAS[isa], DTYPES[dtype], &config, columns, po.view.buf, &batch,
                         pg.view.buf, &value))
    return value


def optimizer_states(str kind):
    return fg_optimizer_states(<fg_optimizer_kind> <int> OPTIMIZERS[kind])


def op_update(str isa, str dtype, dict options, int64_t steps, object w, object gradient, list states):
    """Replaces w and the states; returns the norms of w before and of the increment."""
    cdef char kind = kind_of(dtype)
    cdef fg_optimizer_config config = optimizer_config(options)
    cdef Py_ssize_t rows = w.shape[0], columns = w.shape[1]
    cdef Pinned pw = pin(w, "w", kind, 2, rows, columns, True)
    cdef Pinned pg = pin(gradient, "gradient", kind, 2, rows, columns), one
    cdef void *pointers[3]
    cdef double norms[2]
    if len(states) != fg_optimizer_states(config.kind):
        raise ValueError(f"states: got {len(states)} arrays, wants {fg_optimizer_states(config.kind)}")
    pinned = [pin(state, "states", kind, 2, rows, columns, True) for state in states]
    for i, one in enumerate(pinned):
        pointers[i] = one.view.buf
    raise_for(fg_op_update(ISAS[isa], DTYPES[dtype], &config, steps, rows, columns, pw.view.buf, pg.view.buf, pointers,
                           norms))
    return norms[0], norms[1]
