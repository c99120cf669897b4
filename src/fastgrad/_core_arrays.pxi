# Arrays on their way to the engine: pinned in memory, after a check of their dtype, shape and contiguity.
#
# `pin` and `pin_order` raise where an array does not fit; the others return None where it is not ready as it is.
from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer,
)

import numpy


cdef enum:
    ANY = -1

cdef char DOUBLE = c"d", INT64 = c"q", INT32 = c"i"
cdef type ndarray = numpy.ndarray


cdef class Pinned:
    """Holds an array's memory in place."""
    cdef Py_buffer view
    cdef bint held

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.view)


cdef Pinned hold(object array, bint writable):
    cdef Pinned pinned = Pinned.__new__(Pinned)
    PyObject_GetBuffer(array, &pinned.view, PyBUF_FORMAT | PyBUF_STRIDES | (PyBUF_WRITABLE if writable else 0))
    pinned.held = True
    return pinned


cdef bint fits(const Py_buffer *view, char kind, int dimensions, Py_ssize_t rows, Py_ssize_t columns) noexcept:
    cdef char got = view.format[0]
    if got == c"l" and sizeof(long) == 8:
        got = c"q"
    return (
        got == kind and view.format[1] == 0 and view.ndim == dimensions
        and (rows == ANY or view.shape[0] == rows) and (columns == ANY or view.shape[1] == columns)
        and PyBuffer_IsContiguous(view, c"C")
    )


cdef Pinned pin(object array, str name, char kind, int dimensions, Py_ssize_t rows, Py_ssize_t columns=ANY,
                bint writable=False):
    """Pin a C-contiguous array of `kind` elements, after checking its shape (ANY matches all)."""
    cdef Pinned pinned = hold(array, writable)
    if not fits(&pinned.view, kind, dimensions, rows, columns):
        found, wanted = (<bytes> pinned.view.format).decode(), (rows, columns)[:dimensions]
        shape = tuple([pinned.view.shape[i] for i in range(pinned.view.ndim)])
        raise ValueError(f"{name}: got {found!r} of shape {shape}, wants contiguous {chr(kind)!r} of shape {wanted}")
    return pinned


cdef Pinned pin_ready(object array, char kind, int dimensions, Py_ssize_t rows, Py_ssize_t columns=ANY):
    """Pin an array that is NumPy's own and would pass `pin`, or return None."""
    cdef Pinned pinned
    if type(array) is not ndarray:
        return None
    try:
        pinned = hold(array, False)
    except ValueError:  # its dtype is none that buffers know
        return None
    return pinned if fits(&pinned.view, kind, dimensions, rows, columns) else None


cdef Pinned pin_matrix(object array, char kind, Py_ssize_t rows, Py_ssize_t columns, bint check_finite):
    """Pin a matrix that is ready, has a row and, where that is asked, is finite, or return None."""
    cdef Pinned pinned = pin_ready(array, kind, 2, rows, columns)
    if pinned is None or pinned.view.len == 0:
        return None
    if not check_finite:
        return pinned
    cdef int64_t size = pinned.view.shape[0] * pinned.view.shape[1]
    return pinned if fg_first_nonfinite(FG_F32 if kind == c"f" else FG_F64, size, pinned.view.buf) < 0 else None


cdef Pinned pin_labels(object array, Py_ssize_t rows, int64_t classes):
    """Pin labels that are ready and in [0, classes), or return None."""
    cdef Pinned pinned = pin_ready(array, INT64, 1, rows)
    if pinned is None or fg_first_bad_label(rows, <const int64_t *> pinned.view.buf, classes) >= 0:
        return None
    return pinned


cdef Pinned pin_order(object order, Py_ssize_t rows):
    cdef Pinned pinned = pin(order, "order", INT64, 1, ANY)
    cdef const int64_t *index = <const int64_t *> pinned.view.buf
    cdef int64_t at = fg_first_bad_label(pinned.view.shape[0], index, rows)
    if at >= 0:
        raise ValueError(f"order: got {index[at]} at {at}, wants a row of X, 0 to {rows - 1}")
    return pinned


cdef fg_batch batch_of(Pinned x, Pinned y=None, Pinned order=None) noexcept:
    """All rows of x, or those in `order`. The engine reads what is pinned: keep it so while it does."""
    cdef fg_batch batch
    batch.first, batch.rows, batch.inputs = 0, x.view.shape[0], x.view.buf
    batch.targets = batch.labels = batch.order = NULL
    if y is not None and y.view.ndim == 1:
        batch.labels = <const int64_t *> y.view.buf
    elif y is not None:
        batch.targets = y.view.buf
    if order is not None:
        batch.order, batch.rows = <const int64_t *> order.view.buf, order.view.shape[0]
    return batch
