# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=True
"""The boundary between Python and the C engine.

Every array is checked here for dtype, shape and contiguity before the engine sees its address; the GIL is released
while a network computes. Data that are ready as they come are told by a quick check; what fails it is the business of
the modules above, which convert it or say what is wrong.
"""
import threading

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

include "_core_arrays.pxi"

cdef double LONGEST_CALL = 0.05  # seconds, after which a loop over steps or rows returns, so that signals are heard


class RefusedError(ArithmeticError):
    """A step would not have been finite, and was not done; its argument is the loss."""


cdef int raise_for(fg_status status) except -1:
    if status == FG_ERR_MEMORY:
        raise MemoryError("the engine could not allocate its workspace")
    return 0


cdef char kind_of(str dtype) except -1:
    return c"f" if DTYPES[dtype] == FG_F32 else c"d"


cdef dict numbered(list names):
    return {name: number for number, name in enumerate(names)}


cdef int COUNT_OF_STATISTICS = <int> FG_STATISTICS
DTYPES = {"float32": FG_F32, "float64": FG_F64}
ISAS = numbered([fg_isa_name(<fg_isa> i).decode() for i in range(<int> fg_best_isa() + 1)])
ACTIVATIONS = numbered([fg_activation_name(<fg_activation> i).decode() for i in range(<int> FG_ACTIVATIONS)])
LOSSES = numbered([fg_loss_name(<fg_loss> i).decode() for i in range(<int> FG_LOSSES)])
STATISTICS = tuple([fg_statistic_name(<fg_statistic> i).decode() for i in range(<int> FG_STATISTICS)])
UNARIES = numbered([fg_unary_name(<fg_unary> i).decode() for i in range(<int> FG_UNARIES)])
OPTIMIZERS = numbered([fg_optimizer_name(<fg_optimizer_kind> i).decode() for i in range(<int> FG_OPTIMIZERS)])
cdef fg_loss CROSS_ENTROPY = LOSSES["cross_entropy"], BINARY_CROSS_ENTROPY = LOSSES["binary_cross_entropy"]


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

    cdef Pinned inputs(self, object x):
        return pin(x, "X", self.kind, 2, ANY, self.n_inputs)

    cdef Pinned targets(self, object y, Py_ssize_t rows, fg_loss loss):
        if y.ndim != 1:
            return pin(y, "y", self.kind, 2, rows, self.n_outputs)
        if loss != CROSS_ENTROPY:
            raise ValueError("y: got no target matrix, which this loss wants")
        return pin(y, "y", INT64, 1, rows)

    cdef Pinned ready_targets(self, object y, Py_ssize_t rows, fg_loss loss):
        """Pin targets that need no other check, or return None."""
        if loss == CROSS_ENTROPY:
            return pin_labels(y, rows, self.n_outputs)
        return None if loss == BINARY_CROSS_ENTROPY else pin_finite(y, self.kind, rows, self.n_outputs)

    def is_ready(self, object array, Py_ssize_t columns):
        """Whether the engine can read this as a finite matrix of at least one row."""
        return pin_finite(array, self.kind, ANY, columns) is not None

    def has_ready_targets(self, object y, Py_ssize_t rows, str loss):
        """Whether the engine can read this as targets that need no other check."""
        return self.ready_targets(y, rows, <fg_loss> <int> LOSSES[loss]) is not None

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


cdef class Plan:
    """Workspace for batches of `capacity` rows, made when first used, and anew when a batch or the threads outgrow it.

    Runs one call at a time: `network.lock` sees to it.
    """
    cdef fg_plan *handle
    cdef readonly Network network
    cdef int64_t capacity
    cdef int threads
    cdef fg_plan_mode mode
    cdef readonly int64_t rows  # of the last forward pass
    cdef readonly tuple culprit  # layer and tensor that first left the range in the last step that was refused

    def __cinit__(self, Network network not None, int64_t capacity, str mode):
        self.mode = {"inference": FG_INFERENCE, "training": FG_TRAINING, "gradients": FG_GRADIENTS}[mode]
        if capacity < 1:
            raise ValueError(f"capacity: got {capacity}, wants at least 1")
        self.network, self.capacity = network, capacity

    def __dealloc__(self):
        fg_plan_destroy(self.handle)

    cdef int require(self, Py_ssize_t rows, fg_plan_mode least) except -1:
        if rows < 1:
            raise ValueError(f"X: got {rows} rows, wants at least 1")
        if self.mode < least:
            raise ValueError("mode: the plan was made for less than this")
        return 0

    cdef int require_own(self, Optimizer optimizer) except -1:
        if optimizer.network is not self.network:
            raise ValueError("optimizer: belongs to another network")
        return 0

    cdef int reserve(self, int64_t rows) except -1:
        """Have room for `rows`; the caller holds the lock."""
        cdef fg_plan *larger = NULL
        cdef int threads = fg_threads()
        if self.handle != NULL and rows <= self.capacity and threads == self.threads:
            return 0
        rows = max(rows, self.capacity)
        raise_for(fg_plan_create(&larger, self.network.handle, rows, self.mode))
        fg_plan_destroy(self.handle)
        self.handle, self.capacity, self.threads, self.rows = larger, rows, threads, 0
        return 0

    def forward(self, object x, object out, int64_t first=0):
        """Forward pass of rows from `first` to `out`. An inference plan takes them in batches of its capacity.

        Returns the first row not done: all are, unless that took longer than LONGEST_CALL.
        """
        cdef Pinned inputs = self.network.inputs(x)
        cdef fg_batch batch = batch_of(inputs)
        cdef int64_t total = batch.rows
        cdef Pinned outputs = pin(out, "out", self.network.kind, 2, total, self.network.n_outputs, True)
        cdef char *to = <char *> outputs.view.buf
        cdef double end = fg_seconds() + LONGEST_CALL
        cdef int64_t most = self.capacity if self.mode == FG_INFERENCE else total
        self.require(total, FG_INFERENCE)
        if first < 0 or first >= total:
            raise ValueError(f"first: got {first}, wants a row of X, 0 to {total - 1}")
        batch.first, batch.rows = first, 0
        with self.network.lock:
            self.reserve(most)
            with nogil:
                while batch.first < total and (batch.rows == 0 or fg_seconds() < end):
                    batch.rows = min(most, total - batch.first)
                    fg_plan_forward(self.handle, &batch, to + batch.first * outputs.view.strides[0])
                    batch.first += batch.rows
            self.rows = batch.rows
        return batch.first

    cdef Pinned records(self, object statistics, int64_t steps):
        """Pin where the statistics of so many steps go, or return None where they are not wanted."""
        if statistics is None:
            return None
        cdef Pinned pinned = pin(statistics, "statistics", DOUBLE, 3, steps, COUNT_OF_STATISTICS, True)
        if pinned.view.shape[2] != self.network.layers:
            raise ValueError(f"statistics: got {pinned.view.shape[2]} layers, wants {self.network.layers}")
        return pinned

    cdef int accuse(self, const fg_batch *batch) except -1:
        """Find out which tensor of a refused step first left the range; the caller holds the lock."""
        cdef fg_culprit found = fg_plan_culprit(self.handle, batch)
        self.culprit = found.layer, fg_tensor_name(found.tensor).decode()
        return 0

    def step(self, object x, object y, str loss, Optimizer optimizer not None, object statistics, bint checked=False):
        """Train on one batch and return its loss; raises RefusedError(loss) where the engine refused the step.

        Returns None, having done nothing, for data that need `fastgrad.losses`, unless they are `checked`.
        """
        cdef fg_loss kind = <fg_loss> <int> LOSSES[loss]
        cdef Pinned inputs, targets = None, row = self.records(statistics, 1)
        cdef fg_status status = FG_OK
        cdef double value = 0.0
        if checked:
            inputs = self.network.inputs(x)
            targets = self.network.targets(y, inputs.view.shape[0], kind)
        else:
            inputs = pin_finite(x, self.network.kind, ANY, self.network.n_inputs)
            if inputs is not None:
                targets = self.network.ready_targets(y, inputs.view.shape[0], kind)
            if targets is None:
                return None
        cdef fg_batch batch = batch_of(inputs, targets)
        cdef double *to = NULL if row is None else <double *> row.view.buf
        self.require_own(optimizer)
        self.require(batch.rows, FG_TRAINING)
        with self.network.lock:
            self.reserve(batch.rows)
            with nogil:
                status = fg_plan_step(self.handle, &batch, kind, optimizer.handle, &value, to)
            self.rows = batch.rows
            if status != FG_OK:
                self.accuse(&batch)
        if status != FG_OK:
            raise RefusedError(value)
        return value

    def steps(self, object x, object y, object order, int64_t batch_size, str loss, Optimizer optimizer not None,
              object losses, object statistics, int64_t first=0):
        """Train on consecutive batches of `order`, one for each entry of `losses`, from step `first` on.

        Where `statistics` is None, none are taken. Returns the number of the first step not done: all are, unless that
        took longer than LONGEST_CALL. It is `first` itself where that step was refused; the refused step's loss is in
        its place in `losses`.
        """
        cdef fg_loss kind = <fg_loss> <int> LOSSES[loss]
        cdef Pinned inputs = self.network.inputs(x)
        cdef Pinned targets = self.network.targets(y, inputs.view.shape[0], kind)
        cdef Pinned rows = pin_order(order, inputs.view.shape[0])
        cdef Pinned values = pin(losses, "losses", DOUBLE, 1, ANY, ANY, True)
        cdef fg_batch batch = batch_of(inputs, targets, rows)
        cdef int64_t count = values.view.shape[0], total = batch.rows, done = first
        cdef Pinned records = self.records(statistics, count)
        cdef int64_t record_size = COUNT_OF_STATISTICS * self.network.layers
        cdef double *record = NULL if records is None else <double *> records.view.buf
        cdef double *value = <double *> values.view.buf
        cdef fg_status status = FG_OK
        cdef double end = fg_seconds() + LONGEST_CALL
        if batch_size < 1 or count != (total + batch_size - 1) // batch_size:
            raise ValueError(f"losses: got {count} entries for {total} rows in batches of {batch_size}")
        if first < 0 or first >= count:
            raise ValueError(f"first: got {first}, wants a step, 0 to {count - 1}")
        self.require_own(optimizer)
        self.require(total, FG_TRAINING)
        with self.network.lock:
            self.reserve(min(batch_size, total))
            with nogil:
                while done < count and status == FG_OK and (done == first or fg_seconds() < end):
                    batch.first = done * batch_size
                    batch.rows = min(batch_size, total - batch.first)
                    status = fg_plan_step(self.handle, &batch, kind, optimizer.handle, value + done,
                                          NULL if record == NULL else record + done * record_size)
                    done += status == FG_OK
            self.rows = batch.rows
            if status != FG_OK:
                self.accuse(&batch)
        return done

    def loss(self, object x, object y, str loss):
        """The loss of a batch, changing nothing."""
        cdef fg_loss kind = <fg_loss> <int> LOSSES[loss]
        cdef Pinned inputs = self.network.inputs(x)
        cdef Pinned targets = self.network.targets(y, inputs.view.shape[0], kind)
        cdef fg_batch batch = batch_of(inputs, targets)
        cdef double value
        self.require(batch.rows, FG_TRAINING)
        with self.network.lock:
            self.reserve(batch.rows)
            with nogil:
                fg_plan_loss(self.handle, &batch, kind, &value)
            self.rows = batch.rows
        return value

    def gradients(self, object x, object y, str loss):
        """Forward and backward; returns the loss, and leaves the gradients to be read."""
        cdef fg_loss kind = <fg_loss> <int> LOSSES[loss]
        cdef Pinned inputs = self.network.inputs(x)
        cdef Pinned targets = self.network.targets(y, inputs.view.shape[0], kind)
        cdef fg_batch batch = batch_of(inputs, targets)
        cdef double value
        self.require(batch.rows, FG_GRADIENTS)
        with self.network.lock:
            self.reserve(batch.rows)
            with nogil:
                fg_plan_gradients(self.handle, &batch, kind, &value)
            self.rows = batch.rows
        return value

    def backward(self, object output_gradient):
        """Backward from dL/d(output) of the rows that `forward` saw last."""
        cdef Pinned g
        with self.network.lock:
            self.require(self.rows, FG_GRADIENTS)
            g = pin(output_gradient, "output_gradient", self.network.kind, 2, self.rows, self.network.n_outputs)
            with nogil:
                fg_plan_backward(self.handle, g.view.buf)

    def exponents(self):
        """The powers of two by which what the next three give is to be multiplied: the input's, then each layer's."""
        with self.network.lock:
            self.require(self.rows, FG_GRADIENTS)
            return [fg_plan_exponent(self.handle, layer) for layer in range(-1, self.network.layers)]

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


include "_core_ops.pxi"
