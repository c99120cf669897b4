# Passes of a network over batches, in a workspace that grows with them: forward, steps, gradients, and what they left.

cdef double LONGEST_CALL = 0.05  # seconds, after which a loop over steps or rows returns, so that signals are heard


class RefusedError(ArithmeticError):
    """A step would not have been finite, and was not done; its argument is the loss."""


cdef class Plan:
    """Workspace for batches of `capacity` rows, made when first used, and anew when a batch or the threads outgrow it.

    Runs one call at a time: the network sees to it, which each call enters.
    """
    cdef fg_plan *handle
    cdef readonly Network network
    cdef int64_t capacity
    cdef int threads, forks
    cdef fg_plan_memory memory
    cdef public bint unrecorded  # there are steps that the caller has still to record; until then none are done
    cdef readonly int64_t rows  # of the last forward pass
    cdef readonly tuple culprit  # of the last refused step: layer and tensor that first left the range, count, sample

    def __cinit__(self, Network network not None, int64_t capacity, str keeps):
        self.memory = {"outputs": FG_KEEPS_OUTPUTS, "levels": FG_KEEPS_LEVELS, "gradients": FG_KEEPS_GRADIENTS}[keeps]
        if capacity < 1:
            raise ValueError(f"capacity: got {capacity}, wants at least 1")
        self.network, self.capacity = network, capacity

    def __dealloc__(self):
        fg_plan_destroy(self.handle)

    cdef int require(self, Py_ssize_t rows, fg_plan_memory least) except -1:
        if rows < 1:
            raise ValueError(f"X: got {rows} rows, wants at least 1")
        if self.memory < least:
            raise ValueError("keeps: the plan was made for less than this")
        return 0

    cdef int require_own(self, Training training) except -1:
        if self.unrecorded:
            raise RuntimeError("trainer: got a call in the midst of its own run, as by the handler of a signal, wants "
                               "that to be over")
        if training.network is not self.network:
            raise ValueError("training: belongs to another network")
        if training.tears != self.network.tears:
            raise RuntimeError("trainer: got one of a network that another thread was training when this process was "
                               "forked, wants a new Trainer: the state of the optimizer is torn")
        return 0

    cdef int reserve(self, int64_t rows) except -1:
        """Have room for `rows`; the caller holds the lock."""
        cdef fg_plan *larger = NULL
        cdef int threads = fg_threads()
        cdef int forks = self.network.forks
        if self.handle != NULL and rows <= self.capacity and threads == self.threads and forks == self.forks:
            return 0
        rows = max(rows, self.capacity)
        if fg_plan_create(&larger, self.network.handle, rows, self.memory) != FG_OK:
            raise MemoryError(f"X: got {rows} rows at once, for which the engine has no memory; wants fewer, "
                              "or a smaller batch_size")
        fg_plan_destroy(self.handle)
        self.handle, self.capacity, self.threads, self.forks, self.rows = larger, rows, threads, forks, 0
        return 0

    def forward(self, object x, object out, int64_t first=0, object exponents=None):
        """Forward pass of rows from `first` to `out`, by a plan that keeps outputs alone in batches of its capacity.

        With `exponents`, which only such a plan takes, a row of `out` is to be multiplied by 2 to the power of
        its entry there; otherwise it has true values.

        Returns the first row not done: all are, unless that took longer than LONGEST_CALL.
        """
        cdef Pinned inputs = self.network.inputs(x)
        cdef fg_batch batch = batch_of(inputs)
        cdef int64_t total = batch.rows
        cdef Pinned outputs = pin(out, "out", self.network.kind, 2, total, self.network.n_outputs, True)
        cdef Pinned scales = None if exponents is None else pin(exponents, "exponents", INT32, 1, total, ANY, True)
        cdef int32_t *power = NULL if scales is None else <int32_t *> scales.view.buf
        cdef char *to = <char *> outputs.view.buf
        cdef double end = fg_seconds() + LONGEST_CALL
        cdef int64_t most = self.capacity if self.memory == FG_KEEPS_OUTPUTS else total
        self.require(total, FG_KEEPS_OUTPUTS)
        if power != NULL and self.memory != FG_KEEPS_OUTPUTS:
            raise ValueError("exponents: the plan was made for more than this")
        if first < 0 or first >= total:
            raise ValueError(f"first: got {first}, wants a row of X, 0 to {total - 1}")
        batch.first, batch.rows = first, 0
        with self.network:
            self.reserve(most)
            with nogil:
                while batch.first < total and (batch.rows == 0 or fg_seconds() < end):
                    batch.rows = min(most, total - batch.first)
                    self.forward_batch(&batch, to, outputs.view.strides[0], power)
                    batch.first += batch.rows
            self.rows = batch.rows
        return batch.first

    cdef void forward_batch(self, const fg_batch *batch, char *to, Py_ssize_t stride, int32_t *power) noexcept nogil:
        if power == NULL:
            fg_plan_forward(self.handle, batch, to + batch.first * stride)
        else:
            fg_plan_scaled_forward(self.handle, batch, to + batch.first * stride, power + batch.first)

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
        self.culprit = (found.layer, fg_tensor_name(found.tensor).decode(), found.count or None,
                        found.sample if found.sample >= 0 else None)
        return 0

    cdef int refuse(self, fg_status status, const fg_batch *batch, double loss) except -1:
        """Raise for a step that was not done; the caller holds the lock."""
        if status == FG_ERR_MEMORY:
            raise MemoryError("trainer: got a step whose gradients have to wait before they are applied, for which the "
                              f"engine has no memory; wants {self.network.parameter_bytes():,} bytes. That step "
                              "changed nothing and can be done again")
        self.accuse(batch)
        raise RefusedError(loss)

    def step(self, object x, object y, Training training not None, object statistics, bint checked=False,
             bint check_finite=True, bint flat=False):
        """Train on one batch and return its loss; raises RefusedError(loss) where the engine refused the step.

        Returns None, having done nothing, for data that need `fastgrad.losses`, unless they are `checked`: those that
        are not of the right dtype and layout and, where that is asked, finite. `flat` says that y came as a vector.
        """
        cdef Pinned inputs, targets = None, row = self.records(statistics, 1)
        cdef fg_status status = FG_OK
        cdef fg_step_result result
        if checked:
            inputs = self.network.inputs(x)
            targets = self.network.targets(y, inputs.view.shape[0], training.kind)
        else:
            inputs = pin_matrix(x, self.network.kind, ANY, self.network.n_inputs, check_finite)
            if inputs is not None:
                targets = self.network.ready_targets(y, inputs.view.shape[0], training.kind, check_finite)
            if targets is None:
                return None
        cdef fg_batch batch = batch_of(inputs, targets)
        cdef double *to = NULL if row is None else <double *> row.view.buf
        self.require_own(training)
        self.require(batch.rows, FG_KEEPS_LEVELS)
        self.network.enter()
        try:
            self.reserve(batch.rows)
            self.network.changing = True
            with nogil:
                status = fg_plan_step(self.handle, training.handle, &batch, &result, to)
            self.network.changing = False
            self.rows = batch.rows
            if status != FG_OK:
                self.refuse(status, &batch, result.loss)
            training.clip_norm = result.clip_norm
            self.network.was_trained(training.loss, training.kind, flat)
        finally:
            self.network.lock.leave()
        return result.loss

    def steps(self, object x, object y, object order, int64_t batch_size, Training training not None, object losses,
              object statistics, int64_t first=0, bint flat=False):
        """Train on consecutive batches of `order`, one for each entry of `losses`, from step `first` on.

        Where `statistics` is None, none are taken. Returns the number of the first step not done: all are, unless that
        took longer than LONGEST_CALL, or a step was refused that is not the `first`. Raises as `step` does where the
        first is.
        """
        cdef Pinned inputs = self.network.inputs(x)
        cdef Pinned targets = self.network.targets(y, inputs.view.shape[0], training.kind)
        cdef Pinned rows = pin_order(order, inputs.view.shape[0])
        cdef Pinned values = pin(losses, "losses", DOUBLE, 1, ANY, ANY, True)
        cdef fg_batch batch = batch_of(inputs, targets, rows)
        cdef int64_t count = values.view.shape[0], total = batch.rows, done = first
        cdef Pinned records = self.records(statistics, count)
        cdef int64_t record_size = COUNT_OF_STATISTICS * self.network.layers
        cdef double *record = NULL if records is None else <double *> records.view.buf
        cdef double *value = <double *> values.view.buf
        cdef fg_status status = FG_OK
        cdef fg_step_result result
        cdef double end = fg_seconds() + LONGEST_CALL
        if batch_size < 1 or count != (total + batch_size - 1) // batch_size:
            raise ValueError(f"losses: got {count} entries for {total} rows in batches of {batch_size}")
        if first < 0 or first >= count:
            raise ValueError(f"first: got {first}, wants a step, 0 to {count - 1}")
        self.require_own(training)
        self.require(total, FG_KEEPS_LEVELS)
        with self.network:
            self.reserve(min(batch_size, total))
            self.network.changing = True
            with nogil:
                while done < count and status == FG_OK and (done == first or fg_seconds() < end):
                    batch.first = done * batch_size
                    batch.rows = min(batch_size, total - batch.first)
                    status = fg_plan_step(self.handle, training.handle, &batch, &result,
                                          NULL if record == NULL else record + done * record_size)
                    if status == FG_OK:
                        value[done] = result.loss
                        training.clip_norm = result.clip_norm
                        done += 1
            self.network.changing = False
            self.rows = batch.rows
            if done == first:
                self.refuse(status, &batch, result.loss)
            self.network.was_trained(training.loss, training.kind, flat)
            self.unrecorded = True
        return done

    def loss(self, object x, object y, str loss):
        """The loss of a batch, changing nothing."""
        cdef fg_loss_config config = loss_config(loss)
        cdef Pinned inputs = self.network.inputs(x)
        cdef Pinned targets = self.network.targets(y, inputs.view.shape[0], config.kind)
        cdef fg_batch batch = batch_of(inputs, targets)
        cdef double value
        self.require(batch.rows, FG_KEEPS_LEVELS)
        with self.network:
            self.reserve(batch.rows)
            with nogil:
                fg_plan_loss(self.handle, &batch, &config, &value)
            self.rows = batch.rows
        return value

    def gradients(self, object x, object y, str loss):
        """Forward and backward; returns the loss, and leaves the gradients to be read."""
        cdef fg_loss_config config = loss_config(loss)
        cdef Pinned inputs = self.network.inputs(x)
        cdef Pinned targets = self.network.targets(y, inputs.view.shape[0], config.kind)
        cdef fg_batch batch = batch_of(inputs, targets)
        cdef double value
        self.require(batch.rows, FG_KEEPS_GRADIENTS)
        with self.network:
            self.reserve(batch.rows)
            with nogil:
                fg_plan_gradients(self.handle, &batch, &config, &value)
            self.rows = batch.rows
        return value

    def backward(self, object output_gradient):
        """Backward from dL/d(output) of the rows that `forward` saw last."""
        cdef Pinned g
        with self.network:
            if self.forks != self.network.forks:
                raise ValueError("backward: got a forward pass that a fork cut off, wants forward(X, training=True)")
            self.require(self.rows, FG_KEEPS_GRADIENTS)
            g = pin(output_gradient, "output_gradient", self.network.kind, 2, self.rows, self.network.n_outputs)
            with nogil:
                fg_plan_backward(self.handle, g.view.buf)

    def log10_loss(self):
        """log10 of the magnitude of the loss of the last pass, at any size."""
        with self.network:
            self.require(self.rows, FG_KEEPS_LEVELS)
            return fg_plan_log10_loss(self.handle)

    def exponents(self, bint of_bias):
        """For each layer the power of two by which what the next two give is to be multiplied."""
        with self.network:
            self.require(self.rows, FG_KEEPS_GRADIENTS)
            return [fg_plan_exponent(self.handle, layer, of_bias) for layer in range(self.network.layers)]

    def weight_gradient(self, int layer, object out):
        cdef Pinned pinned = self.network.matrix(layer, out, True)
        with self.network:
            self.require(self.rows, FG_KEEPS_GRADIENTS)
            fg_plan_get_weight_gradient(self.handle, layer, pinned.view.buf)

    def bias_gradient(self, int layer, object out):
        cdef Pinned pinned = self.network.vector(layer, out, True)
        with self.network:
            self.require(self.rows, FG_KEEPS_GRADIENTS)
            fg_plan_get_bias_gradient(self.handle, layer, pinned.view.buf)

    def input_gradient(self, object out):
        cdef Pinned pinned
        with self.network:
            self.require(self.rows, FG_KEEPS_GRADIENTS)
            pinned = pin(out, "out", self.network.kind, 2, self.rows, self.network.n_inputs, True)
            fg_plan_get_input_gradient(self.handle, pinned.view.buf)

    cdef Pinned level(self, int layer, object out):
        self.require(self.rows, FG_KEEPS_LEVELS)
        self.network.require_layer(layer)
        return pin(out, "out", self.network.kind, 2, self.rows, self.network.sizes[layer + 1], True)

    def activation(self, int layer, object out):
        with self.network:
            fg_plan_get_activation(self.handle, layer, self.level(layer, out).view.buf)

    def delta(self, int layer, object out):
        """After a step or backward; after forward alone this is the derivative of the activation, where it is kept."""
        with self.network:
            fg_plan_get_delta(self.handle, layer, self.level(layer, out).view.buf)

    def statistics(self, object out):
        cdef Pinned pinned = pin(out, "out", DOUBLE, 2, COUNT_OF_STATISTICS, self.network.layers, True)
        with self.network:
            self.require(self.rows, FG_KEEPS_GRADIENTS)
            fg_plan_get_statistics(self.handle, <double *> pinned.view.buf)
