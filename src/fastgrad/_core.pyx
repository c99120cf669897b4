# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=True
"""The boundary between Python and the C engine.

Every array is checked here for dtype, shape and contiguity before the engine sees its address; the GIL is released
while a network computes. Data that are ready as they come are told by a quick check; what fails it is the business of
the modules above, which convert it or say what is wrong.
"""
import threading
import weakref

from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc

include "_core_arrays.pxi"
include "_core_lock.pxi"


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
ISAS = {fg_isa_name(<fg_isa> i).decode(): i for i in range(<int> FG_ISAS) if fg_isa_supported(<fg_isa> i)}
BEST_ISA = fg_isa_name(fg_best_isa()).decode()
ACTIVATIONS = numbered([fg_activation_name(<fg_activation> i).decode() for i in range(<int> FG_ACTIVATIONS)])
LOSSES = numbered([fg_loss_name(<fg_loss> i).decode() for i in range(<int> FG_LOSSES)])
STATISTICS = tuple([fg_statistic_name(<fg_statistic> i).decode() for i in range(<int> FG_STATISTICS)])
UNARIES = numbered([fg_unary_name(<fg_unary> i).decode() for i in range(<int> FG_UNARIES)])
CLIPS = numbered([fg_clip_name(<fg_clip_kind> i).decode() for i in range(<int> FG_CLIPS)])
OPTIMIZERS = numbered([fg_optimizer_name(<fg_optimizer_kind> i).decode() for i in range(<int> FG_OPTIMIZERS)])
cdef fg_loss CROSS_ENTROPY = LOSSES["cross_entropy"], BINARY_CROSS_ENTROPY = LOSSES["binary_cross_entropy"]


def cpu_brand():
    cdef char brand[49]
    fg_cpu_brand(brand)
    return (<bytes> brand).decode("ascii", "replace").strip()


def isa_based_on(str isa):
    """Return the next lower instruction set, or the same where there is none."""
    return fg_isa_name(fg_isa_based_on(ISAS[isa])).decode()


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


cdef set NETWORKS = set()  # weak references


cdef class Network:
    """Packed parameters. ``with network:`` others neither read nor change them; whoever does through the engine enters.

    In a forked child it may be torn, where another thread was changing it: then it can only be set, and once all of it
    is, it is whole again.
    """
    cdef fg_network *handle
    cdef readonly tuple sizes
    cdef readonly str dtype, isa
    cdef readonly bint has_bias
    cdef readonly int layers
    cdef readonly Lock lock
    cdef public str trained_loss  # of the last step done; None before the first
    cdef public bint trained_flat  # whether the targets of that step came as a vector of numbers
    cdef bint changing  # a step is being done
    cdef set torn  # the parameters that are to be set before anything else; None where it is whole
    cdef int forks, tears  # forks in the midst of a call, and of a change
    cdef char kind
    cdef Py_ssize_t n_inputs, n_outputs
    cdef object __weakref__

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
        self.lock = Lock()
        NETWORKS.add(weakref.ref(self, NETWORKS.discard))

    def __dealloc__(self):
        fg_network_destroy(self.handle)

    cdef int enter(self) except -1:
        self.lock.enter()
        if self.torn is not None:
            self.lock.leave()
            raise RuntimeError(
                f"net: got one that another thread was training when this process was forked, wants all its weights "
                f"and biases set first; still to be set are {', '.join(sorted(self.torn))}"
            )
        return 0

    def __enter__(self):
        self.enter()

    def __exit__(self, kind, error, trace):
        self.lock.leave()

    cdef void outlive_others(self):
        """In a forked child, when a thread that is not there had the lock: its calls will never end."""
        self.forks += 1
        if not self.changing:
            return
        self.changing = False
        self.tears += 1
        self.torn = {f"{name}[{layer}]" for name in ("weights", "biases")[: 1 + self.has_bias]
                     for layer in range(self.layers)}

    cdef void was_trained(self, str loss, fg_loss kind, bint flat) noexcept:
        """Note what `predict` is to tell after a step done; the caller holds the lock."""
        self.trained_loss, self.trained_flat = loss, flat and kind != CROSS_ENTROPY

    cdef int was_set(self, str name, int layer) except -1:
        """Note that a parameter has been set; the caller holds the lock."""
        if self.torn is not None:
            self.torn.discard(f"{name}[{layer}]")
            self.torn = self.torn or None
        return 0

    cdef object parameter_bytes(self):
        """Of all weights and biases, or of as many gradients."""
        parameters = sum((self.sizes[layer] + self.has_bias) * self.sizes[layer + 1] for layer in range(self.layers))
        return parameters * (4 if self.kind == c"f" else 8)

    cdef Pinned inputs(self, object x):
        return pin(x, "X", self.kind, 2, ANY, self.n_inputs)

    cdef Pinned targets(self, object y, Py_ssize_t rows, fg_loss loss):
        if y.ndim != 1:
            return pin(y, "y", self.kind, 2, rows, self.n_outputs)
        if loss != CROSS_ENTROPY:
            raise ValueError("y: got no target matrix, which this loss wants")
        return pin(y, "y", INT64, 1, rows)

    cdef Pinned ready_targets(self, object y, Py_ssize_t rows, fg_loss loss, bint check_finite):
        """Pin targets that need no other check, or return None."""
        if loss == CROSS_ENTROPY:
            return pin_labels(y, rows, self.n_outputs)
        return None if loss == BINARY_CROSS_ENTROPY else pin_matrix(y, self.kind, rows, self.n_outputs, check_finite)

    def is_ready(self, object array, Py_ssize_t columns, bint check_finite=True):
        """Whether the engine can read this as a matrix of at least one row, finite where that is asked."""
        return pin_matrix(array, self.kind, ANY, columns, check_finite) is not None

    def has_ready_targets(self, object y, Py_ssize_t rows, str loss, bint check_finite=True):
        """Whether the engine can read this as targets that need no other check."""
        return self.ready_targets(y, rows, <fg_loss> <int> LOSSES[loss], check_finite) is not None

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
            self.was_set("weights", layer)

    def get_weights(self, int layer, object out):
        cdef Pinned pinned = self.matrix(layer, out, True)
        with self:
            fg_network_get_weights(self.handle, layer, pinned.view.buf)

    def set_bias(self, int layer, object array):
        cdef Pinned pinned = self.vector(layer, array, False)
        with self.lock:
            fg_network_set_bias(self.handle, layer, pinned.view.buf)
            self.was_set("biases", layer)

    def get_bias(self, int layer, object out):
        cdef Pinned pinned = self.vector(layer, out, True)
        with self:
            fg_network_get_bias(self.handle, layer, pinned.view.buf)


cdef fg_optimizer_config optimizer_config(dict options) except *:
    cdef fg_optimizer_config c
    c.kind = <fg_optimizer_kind> <int> OPTIMIZERS[options["kind"]]
    c.lr, c.weight_decay, c.decoupled = options["lr"], options["weight_decay"], options["decoupled"]
    c.momentum, c.dampening, c.nesterov = options["momentum"], options["dampening"], options["nesterov"]
    c.beta1, c.beta2, c.eps = options["beta1"], options["beta2"], options["eps"]
    return c


cdef fg_loss_config loss_config(str name) except *:
    cdef fg_loss_config c
    c.kind = <fg_loss> <int> LOSSES[name]
    return c


cdef fg_clip_config clip_config(dict options) except *:
    cdef fg_clip_config c
    c.kind = <fg_clip_kind> <int> CLIPS[options["kind"]]
    c.bound, c.eps, c.output = options["bound"], options["eps"], options["output"]
    return c


cdef class Training:
    """How one network is trained, with the optimizer's state; and how long each unit has been dead, where it `watches`.
    """
    cdef fg_training *handle
    cdef readonly Network network
    cdef readonly str loss
    cdef fg_loss kind
    cdef int tears  # of the network when this was made
    cdef readonly double clip_norm  # that the last step done compared; NaN before, and unless a global norm is clipped

    def __cinit__(self, Network network not None, dict optimizer, str loss not None, dict clip not None):
        cdef fg_training_config config
        config.optimizer, config.clip = optimizer_config(optimizer), clip_config(clip)
        config.loss = loss_config(loss)
        raise_for(fg_training_create(&self.handle, network.handle, &config))
        self.network, self.loss, self.kind, self.tears = network, loss, config.loss.kind, network.tears
        self.clip_norm = float("nan")

    def __dealloc__(self):
        fg_training_destroy(self.handle)

    @property
    def steps(self):
        return fg_training_steps(self.handle)

    def watch(self, int32_t window):
        """Count a unit as dead, from the next step on, once it has been so for `window` steps."""
        if window < 1:
            raise ValueError(f"window: got {window}, wants at least 1")
        with self.network.lock:
            raise_for(fg_training_watch(self.handle, window))


include "_core_fork.pxi"
include "_core_plan.pxi"
include "_core_ops.pxi"
