# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=True
"""The boundary between Python and the C engine.

Every array is checked here for dtype, shape and contiguity before the engine sees its address; the GIL is released
while a network computes, and a status becomes an exception in one place. Meanings (finite data, labels in range, names)
are the callers' business: the modules above check them and give better messages.
"""
import threading

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc


cdef enum:
    ANY = -1

cdef double LONGEST_CALL = 0.05  # seconds, after which a loop over steps or rows returns, so that signals are heard


cdef class Pinned:
    """Holds an array's memory in place."""
    cdef Py_buffer view
    cdef bint held

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.view)


cdef Pinned pin(object array, str name, char kind, int dimensions, Py_ssize_t rows, Py_ssize_t columns=ANY,
                bint writable=False):
    """Pin a C-contiguous array of `kind` elements, after checking its shape (ANY matches all)."""
    cdef Pinned pinned = Pinned.__new__(Pinned)
    PyObject_GetBuffer(array, &pinned.view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS | (PyBUF_WRITABLE if writable else 0))
    pinned.held = True
    cdef char got = pinned.view.format[0]
    if got == c"l" and sizeof(long) == 8:
        got = c"q"
    if got != kind or pinned.view.format[1] != 0:
        found = (<bytes> pinned.view.format).decode()
        raise ValueError(f"{name}: got elements of format {found!r}, wants {chr(kind)!r}")
    if pinned.view.ndim != dimensions:
        raise ValueError(f"{name}: got {pinned.view.ndim} dimensions, wants {dimensions}")
    if rows != ANY and pinned.view.shape[0] != rows:
        raise ValueError(f"{name}: got {pinned.view.shape[0]} rows, wants {rows}")
    if columns != ANY and pinned.view.shape[1] != columns:
        raise ValueError(f"{name}: got {pinned.view.shape[1]} columns, wants {columns}")
    return pinned


cdef int raise_for(fg_status status) except -1:
    if status == FG_ERR_MEMORY:
        raise MemoryError("the engine could not allocate its workspace")
    return 0


cdef char kind_of(str dtype) except -1:
    return c"f" if DTYPES[dtype] == FG_F32 else c"d"


cdef dict numbered(list names):
    return {name: number for number, name in enumerate(names)}


cdef char DOUBLE = c"d", INT64 = c"q"
cdef int COUNT_OF_STATISTICS = <int> FG_STATISTICS
DTYPES = {"float32": FG_F32, "float64": FG_F64}
ISAS = numbered([fg_isa_name(<fg_isa> i).decode() for i in range(<int> fg_best_isa() + 1)])
ACTIVATIONS = numbered([fg_activation_name(<fg_activation> i).decode() for i in range(<int> FG_ACTIVATIONS)])
LOSSES = numbered([fg_loss_name(<fg_loss> i).decode() for i in range(<int> FG_LOSSES)])
STATISTICS = tuple([fg_statistic_name(<fg_statistic> i).decode() for i in range(<int> FG_STATISTICS)])
UNARIES = numbered([fg_unary_name(<fg_unary> i).decode() for i in range(<int> FG_UNARIES)])
OPTIMIZERS = numbered([fg_optimizer_name(<fg_optimizer_kind> i).decode() for i in range(<int> FG_OPTIMIZERS)])


def cpu_brand():
    cdef char brand[49]
    fg_cpu_brand(brand)
    return (<bytes> brand).decode("ascii", "replace").strip()


def default_threads():
    return fg_default_threads()


def set_threads(int threads):
    fg_set_threads(threads)


def get_threads():
    return fg_threads()


def allocations():
    return fg_allocations()


def fma_peak(str isa, str dtype, double seconds):
    cdef fg_isa which = ISAS[isa]
    cdef fg_dtype kind = DTYPES[dtype]
    cdef double peak
    with nogil:
        peak = fg_fma_peak(which, kind, seconds)
    return peak


def first_nonfinite(object array, str dtype):
    """Index, in memory order, of the first element of a matrix that is not finite, or -1."""
    cdef Pinned pinned = pin(array, "array", kind_of(dtype), 2, ANY)
    return fg_first_nonfinite(<fg_dtype> DTYPES[dtype], pinned.view.len // pinned.view.itemsize, pinned.view.buf)


def first_bad_label(object labels, int64_t classes):
    """Index of the first label outside [0, classes), or -1."""
    cdef Pinned pinned = pin(labels, "y", INT64, 1, ANY)
    return fg_first_bad_label(pinned.view.shape[0], <const int64_t *> pinned.view.buf, classes)


cdef class Network:
    """Packed parameters. `lock` is held by whoever reads or changes them through the engine."""
    cdef fg_network *handle
    cdef readonly tuple sizes
    cdef readonly str dtype, isa
    cdef readonly bint has_bias
    cdef readonly int layers
    cdef readonly object lock
    cdef char kind
    cdef Py_ssize_t n_inputs, n_outputs

    def __cinit__(self, str isa, str dtype, tuple sizes, tuple activations, bint has_bias):
        cdef int layers = len(activations), i
        if layers < 1 or len(sizes) != layers + 1:
            raise ValueError(f"sizes: got {len(sizes)} entries for {layers} activations")
        cdef int64_t *c_sizes = <int64_t *> malloc((layers + 1) * sizeof(int64_t))
        cdef fg_activation *c_activations = <fg_activation *> malloc(layers * sizeof(fg_activation))
        try:
            if c_sizes == NULL or c_activations == NULL:
                raise MemoryError
            for i in range(layers + 1):
                c_sizes[i] = sizes[i]
            for i in range(layers):
                c_activations[i] = ACTIVATIONS[activations[i]]
            raise_for(fg_network_create(&self.handle, ISAS[isa], DTYPES[dtype], layers, c_sizes, c_activations,
                                        has_bias))
        finally:
            free(c_sizes)
            free(c_activations)
        self.sizes, self.dtype, self.isa, self.has_bias, self.layers = sizes, dtype, isa, has_bias, layers
        self.kind, self.n_inputs, self.n_outputs = kind_of(dtype), sizes[0], sizes[layers]
        self.lock = threading.RLock()

    def __dealloc__(self):
        fg_network_destroy(self.handle)

    cdef int require_layer(self, int layer) except -1:
        if layer < 0 or layer >= self.layers:
            raise IndexError(f"layer: got {layer}, the network has layers 0 to {self.layers - 1}")
        return 0

    cdef Pinned matrix(self, int layer, object array, bint writable):
        self.require_layer(layer)
        return pin(array, "weights", self.kind, 2, self.sizes[layer], self.sizes[layer + 1], writable)

    cdef Pinned vector(self, int layer, object array, bint writable):
        self.require_layer(layer)
        if not self.has_bias:
            raise ValueError("bias: the network has none")
        return pin(array, "bias", self.kind, 1, self.sizes[layer + 1], ANY, writable)

    def set_weights(self, int layer, object array):
        cdef Pinned pinned = self.matrix(layer, array, False)
        with self.lock:
            fg_network_set_weights(self.handle, layer, pinned.view.buf)

    def get_weights(self, int layer, object out):
        cdef Pinned pinned = self.matrix(layer, out, True)
        with self.lock:
            fg_network_get_weights(self.handle, layer, pinned.view.buf)

    def set_bias(self, int layer, object array):
        cdef Pinned pinned = self.vector(layer, array, False)
        with self.lock:
            fg_network_set_bias(self.handle, layer, pinned.view.buf)

    def get_bias(self, int layer, object out):
        cdef Pinned pinned = self.vector(layer, out, True)
        with self.lock:
            fg_network_get_bias(self.handle, layer, pinned.view.buf)


cdef fg_optimizer_config optimizer_config(dict options) except *:
    cdef fg_optimizer_config c
    c.kind = <fg_optimizer_kind> <int> OPTIMIZERS[options["kind"]]
    c.lr, c.weight_decay, c.decoupled = options["lr"], options["weight_decay"], options["decoupled"]
    c.momentum, c.dampening, c.nesterov = options["momentum"], options["dampening"], options["nesterov"]
    c.beta1, c.beta2, c.eps = options["beta1"], options["beta2"], options["eps"]
    return c


cdef class Optimizer:
    """An optimizer's state for one network."""
    cdef fg_optimizer *handle
    cdef Network network

    def __cinit__(self, Network network not None, dict options):
        cdef fg_optimizer_config config = optimizer_config(options)
        raise_for(fg_optimizer_create(&self.handle, network.handle, &config))
        self.network = network

    def __dealloc__(self):
        fg_optimizer_destroy(self.handle)

    @property
    def steps(self):
        return fg_optimizer_steps(self.handle)


cdef class Data:
    """Inputs and targets as the engine reads them, held in place. `y` is labels (1-D) or a matrix, or None."""
    cdef Pinned x, y, order
    cdef fg_batch batch
    cdef bint has_labels

    def __cinit__(self, Network network not None, object x, object y=None, object order=None):
        self.x = pin(x, "X", network.kind, 2, ANY, network.n_inputs)
        cdef Py_ssize_t rows = self.x.view.shape[0]
        self.batch.inputs = self.x.view.buf
        self.batch.first, self.batch.rows = 0, rows
        self.batch.targets = self.batch.labels = self.batch.order = NULL
        if y is not None:
            self.has_labels = y.ndim == 1
            if self.has_labels:
                self.y = pin(y, "y", INT64, 1, rows)
                self.batch.labels = <const int64_t *> self.y.view.buf
            else:
                self.y = pin(y, "y", network.kind, 2, rows, network.n_outputs)
                self.batch.targets = self.y.view.buf
        if order is not None:
            self.order = pin(order, "order", INT64, 1, ANY)
            self.require_order(rows)
            self.batch.order = <const int64_t *> self.order.view.buf
            self.batch.rows = self.order.view.shape[0]

    cdef int require_order(self, Py_ssize_t rows) except -1:
        cdef const int64_t *index = <const int64_t *> self.order.view.buf
        cdef Py_ssize_t i
        for i in range(self.order.view.shape[0]):
            if index[i] < 0 or index[i] >= rows:
                raise ValueError(f"order: got {index[i]} at {i}, wants a row of X, 0 to {rows - 1}")
        return 0

    cdef int require_targets(self, fg_loss loss) except -1:
        cdef bint wants_labels_allowed = loss == <fg_loss> <int> LOSSES["cross_entropy"]
        if self.y is None or (self.has_labels and not wants_labels_allowed):
            raise ValueError("y: got no target matrix, which this loss wants")
        return 0


cdef class Plan:
    """Workspace for batches of up to `capacity` rows. Runs one call at a time: `network.lock` sees to it."""
    cdef fg_plan *handle
    cdef readonly Network network
    cdef readonly int64_t capacity
    cdef readonly int threads
    cdef fg_plan_mode mode
    cdef readonly int64_t rows  # of the last forward pass

    def __cinit__(self, Network network not None, int64_t capacity, str mode):
        self.mode = {"inference": FG_INFERENCE, "training": FG_TRAINING, "gradients": FG_GRADIENTS}[mode]
        raise_for(fg_plan_create(&self.handle, network.handle, capacity, self.mode))
        self.network, self.capacity, self.threads = network, capacity, fg_threads()

    def __dealloc__(self):
        fg_plan_destroy(self.handle)

    cdef int require(self, Py_ssize_t rows, fg_plan_mode least) except -1:
        if rows < 1 or rows > self.capacity:
            raise ValueError(f"X: got {rows} rows, wants 1 to {self.capacity}")
        if self.mode < least:
            raise ValueError("mode: the plan was made for less than this")
        return 0

    def forward(self, object x, object out, int64_t first=0):
        """Forward pass of rows from `first` to `out`. An inference plan takes any number of rows.

        Returns the first row not done: all are, unless that took longer than LONGEST_CALL.
        """
        cdef Data data = Data(self.network, x)
        cdef int64_t total = data.batch.rows
        cdef fg_batch batch = data.batch
        cdef Pinned outputs = pin(out, "out", self.network.kind, 2, total, self.network.n_outputs, True)
        cdef char *to = <char *> outputs.view.buf
        cdef double end = fg_seconds() + LONGEST_CALL
        self.require(min(total, self.capacity) if self.mode == FG_INFERENCE else total, FG_INFERENCE)
        if first < 0 or first >= total:
            raise ValueError(f"first: got {first}, wants a row of X, 0 to {total - 1}")
        batch.first, batch.rows = first, 0
        with self.network.lock:
            with nogil:
                while batch.first < total and (batch.rows == 0 or fg_seconds() < end):
                    batch.rows = min(self.capacity, total - batch.first)
                    fg_plan_forward(self.handle, &batch, to + batch.first * outputs.view.strides[0])
                    batch.first += batch.rows
            self.rows = batch.rows
        return batch.first

    def steps(self, object x, object y, object order, int64_t batch_size, str loss, Optimizer optimizer,
              object losses, object statistics, int64_t first=0):
        """Train on consecutive batches of `order` (or of x), one for each entry of `losses`, from step `first` on.

        Returns the number of the first step not done: all are, unless that took longer than LONGEST_CALL. It is
        `first` itself where that step was refused; the refused step's loss is in its place in `losses`.
        """
        cdef Data data = Data(self.network, x, y, order)
        cdef Pinned values = pin(losses, "losses", DOUBLE, 1, ANY, ANY, True)
        cdef int64_t count = values.view.shape[0], total = data.batch.rows, done = first
        cdef Pinned rows = pin(statistics, "statistics", DOUBLE, 3, count, COUNT_OF_STATISTICS, True)
        cdef fg_loss kind = <fg_loss> <int> LOSSES[loss]
        cdef fg_status status = FG_OK
        cdef double end = fg_seconds() + LONGEST_CALL
        cdef double *value = <double *> values.view.buf
        cdef double *row = <double *> rows.view.buf
        cdef int64_t row_size = COUNT_OF_STATISTICS * self.network.layers
        if rows.view.shape[2] != self.network.layers:
            raise ValueError(f"statistics: got {rows.view.shape[2]} layers, wants {self.network.layers}")
        if optimizer is None or optimizer.network is not self.network:
            raise ValueError("optimizer: belongs to another network")
        if batch_size < 1 or count != (total + batch_size - 1) // batch_size:
            raise ValueError(f"losses: got {count} entries for {total} rows in batches of {batch_size}")
        if first < 0 or first >= count:
            raise ValueError(f"first: got {first}, wants a step, 0 to {count - 1}")
        data.require_targets(kind)
        self.require(min(batch_size, total), FG_TRAINING)
        cdef fg_batch batch = data.batch
        with self.network.lock:
            with nogil:
                while done < count and status == FG_OK and (done == first or fg_seconds() < end):
                    batch.first = done * batch_size
                    batch.rows = min(batch_size, total - batch.first)
                    status = fg_plan_step(self.handle, &batch, kind, optimizer.handle, value + done,
                                          row + done * row_size)
                    done += status == FG_OK
        return done

    def loss(self, object x, object y, str loss):
        """The loss of a batch, changing nothing."""
        cdef Data data = Data(self.network, x, y)
        cdef fg_loss kind = <fg_loss> <int> LOSSES[loss]
        cdef double value
        data.require_targets(kind)
        self.require(data.batch.rows, FG_TRAINING)
        with self.network.lock:
            with nogil:
                fg_plan_loss(self.handle, &data.batch, kind, &value)
        return value

    def gradients(self, object x, object y, str loss):
        """Forward and backward; returns the loss, and leaves the gradients to be read."""
        cdef Data data = Data(self.network, x, y)
        cdef fg_loss kind = <fg_loss> <int> LOSSES[loss]
        cdef double value
        data.require_targets(kind)
        self.require(data.batch.rows, FG_GRADIENTS)
        with self.network.lock:
            with nogil:
                fg_plan_gradients(self.handle, &data.batch, kind, &value)
            self.rows = data.batch.rows
        return value

    def backward(self, object output_gradient):
        """Backward from dL/d(output) of the rows that `forward` saw last."""
        cdef Pinned g
        with self.network.lock:
            self.require(self.rows, FG_GRADIENTS)
            g = pin(output_gradient, "output_gradient", self.network.kind, 2, self.rows, self.network.n_outputs)
            with nogil:
                fg_plan_backward(self.handle, g.view.buf)

    def weight_gradient(self, int layer, object out):
        cdef Pinned pinned = self.network.matrix(layer, out, True)
        with self.network.lock:
            self.require(self.rows, FG_GRADIENTS)
            fg_plan_get_weight_gradient(self.handle, layer, pinned.view.buf)

    def bias_gradient(self, int layer, object out):
        cdef Pinned pinned = self.network.vector(layer, out, True)
        with self.network.lock:
            self.require(self.rows, FG_GRADIENTS)
            fg_plan_get_bias_gradient(self.handle, layer, pinned.view.buf)

    def input_gradient(self, object out):
        cdef Pinned pinned
        with self.network.lock:
            self.require(self.rows, FG_GRADIENTS)
            pinned = pin(out, "out", self.network.kind, 2, self.rows, self.network.n_inputs, True)
            fg_plan_get_input_gradient(self.handle, pinned.view.buf)

    cdef Pinned level(self, int layer, object out):
        self.require(self.rows, FG_TRAINING)
        self.network.require_layer(layer)
        return pin(out, "out", self.network.kind, 2, self.rows, self.network.sizes[layer + 1], True)

    def activation(self, int layer, object out):
        with self.network.lock:
            fg_plan_get_activation(self.handle, layer, self.level(layer, out).view.buf)

    def delta(self, int layer, object out):
        """After a step or backward; after forward alone this is the derivative of the activation, where it is kept."""
        with self.network.lock:
            fg_plan_get_delta(self.handle, layer, self.level(layer, out).view.buf)

    def statistics(self, object out):
        cdef Pinned pinned = pin(out, "out", DOUBLE, 2, COUNT_OF_STATISTICS, self.network.layers, True)
        with self.network.lock:
            self.require(self.rows, FG_GRADIENTS)
            fg_plan_get_statistics(self.handle, <double *> pinned.view.buf)


def map_unary(str isa, str dtype, str name, object x, object y):
    cdef Pinned a = pin(x, "x", kind_of(dtype), 1, ANY)
    cdef Pinned b = pin(y, "y", kind_of(dtype), 1, a.view.shape[0], ANY, True)
    fg_map_unary(ISAS[isa], DTYPES[dtype], <fg_unary> <int> UNARIES[name], a.view.shape[0], a.view.buf, b.view.buf)


def map_activation(str isa, str dtype, str name, object z, object a, object slope):
    cdef Pinned x = pin(z, "z", kind_of(dtype), 1, ANY)
    cdef Pinned y = pin(a, "a", kind_of(dtype), 1, x.view.shape[0], ANY, True)
    cdef Pinned s = pin(slope, "slope", kind_of(dtype), 1, x.view.shape[0], ANY, True)
    fg_map_activation(ISAS[isa], DTYPES[dtype], ACTIVATIONS[name], x.view.shape[0], x.view.buf, y.view.buf, s.view.buf)


def op_forward(str isa, str dtype, str activation, object x, object w, object b, object output, object slope):
    """Returns mean, root mean square and mean |slope|."""
    cdef char kind = kind_of(dtype)
    cdef Py_ssize_t rows = x.shape[0], fan_in = w.shape[0], fan_out = w.shape[1]
    cdef Pinned px = pin(x, "x", kind, 2, rows, fan_in), pw = pin(w, "w", kind, 2, fan_in, fan_out)
    cdef Pinned pb = pin(b, "b", kind, 1, fan_out), po = pin(output, "output", kind, 2, rows, fan_out, True)
    cdef Pinned ps = pin(slope, "slope", kind, 2, rows, fan_out, True)
    cdef double moments[3]
    raise_for(fg_op_forward(ISAS[isa], DTYPES[dtype], ACTIVATIONS[activation], rows, fan_in, fan_out, px.view.buf,
                            pw.view.buf, pb.view.buf, po.view.buf, ps.view.buf, moments))
    return moments[0], moments[1], moments[2]


def op_backward_data(str isa, str dtype, object delta, object w, object slope, object out):
    """Returns the norm of the new delta."""
    cdef char kind = kind_of(dtype)
    cdef Py_ssize_t rows = delta.shape[0], fan_in = w.shape[0], fan_out = w.shape[1]
    cdef Pinned pd = pin(delta, "delta", kind, 2, rows, fan_out), pw = pin(w, "w", kind, 2, fan_in, fan_out)
    cdef Pinned ps = pin(slope, "slope", kind, 2, rows, fan_in), po = pin(out, "out", kind, 2, rows, fan_in, True)
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
    raise_for(fg_op_loss(ISAS[isa], DTYPES[dtype], <fg_loss> <int> LOSSES[loss], columns, po.view.buf, &batch,
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
