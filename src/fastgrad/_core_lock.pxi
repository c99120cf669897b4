# A lock that is handed on in the order of asking, and what a forked child finds of the locks of threads it has not.
#
# Its state is changed with the GIL held, or where there is none in a critical section, never across a wait.

cimport cython
from cpython.pythread cimport PyThread_get_thread_ident

cdef set LOCKS = set()  # weak references; adding, discarding and copying are single operations of the set


cdef list living(set references):
    """What still lives of the objects referred to, in an order that all threads agree on."""
    found = [reference() for reference in references.copy()]
    return sorted([thing for thing in found if thing is not None], key=id)


cdef class Lock:
    """A reentrant lock for which nobody waits longer than for those who asked before.

    A thread that lets go and asks again stands behind all who wait, so one that trains without a pause keeps nobody
    out. Waiting is ended by a signal whose handler raises. A copy is a lock of its own, and free.
    """
    cdef unsigned long owner
    cdef Py_ssize_t depth  # how often the owner has entered; 0 where there is none, and then nobody waits
    cdef list line  # who waits: its thread, and the closed gate before it
    cdef object __weakref__

    def __cinit__(self):
        self.line = []
        LOCKS.add(weakref.ref(self, LOCKS.discard))

    cdef bint enter(self, double seconds=-1.0) except -1:
        """Return False where that has taken so many seconds in vain; it waits for ever where they are negative."""
        cdef unsigned long me = PyThread_get_thread_ident()
        cdef bint entered
        with cython.critical_section(self):
            entered = self.depth == 0 or self.owner == me
            if entered:
                self.owner = me
                self.depth += 1
        return entered or self.wait(me, seconds)

    cdef int leave(self) except -1:
        with cython.critical_section(self):
            self.depth -= 1
            if self.depth == 0 and self.line:
                self.owner = self.line[0][0]
                self.hand_over()
        return 0

    cdef int hand_over(self) except -1:
        """Open all gates of the owner: it waits at several where the handler of a signal came in the midst of a wait.

        Allocates nothing, so that no finalizer runs in between.
        """
        cdef Py_ssize_t place = 0
        while place < len(self.line):
            if self.owner == self.line[place][0]:
                self.depth += 1
                self.line.pop(place)[1].release()
            else:
                place += 1
        return 0

    def acquire(self, seconds=-1.0):
        """Enter; return False where that has taken so many seconds in vain, if they are not negative."""
        return self.enter(seconds)

    cdef bint claim(self) except -1:
        """Enter where nobody has, not even this thread; return whether that was so."""
        cdef bint entered
        with cython.critical_section(self):
            entered = self.depth == 0
            if entered:
                self.owner = PyThread_get_thread_ident()
                self.depth = 1
        return entered

    cdef bint wait(self, unsigned long me, double seconds) except -1:
        gate = threading.Lock()
        gate.acquire()
        place = (me, gate)
        cdef bint opened
        with cython.critical_section(self):
            opened = self.depth == 0
            if opened:
                self.owner, self.depth = me, 1
            else:
                self.line.append(place)
        if opened:
            return True
        try:
            opened = gate.acquire(True, seconds)
        except BaseException:
            if not self.withdraw(place):
                self.leave()
            raise
        return opened or not self.withdraw(place)

    cdef bint withdraw(self, tuple place) except -1:
        """Wait no more; return False where the lock has been handed over already."""
        cdef bint waits
        with cython.critical_section(self):
            waits = place in self.line
            if waits:
                self.line.remove(place)
        return waits

    def release(self):
        """Leave once what was entered once by this thread."""
        if self.depth == 0 or self.owner != PyThread_get_thread_ident():
            raise RuntimeError("release: got a lock that this thread does not hold")
        self.leave()

    @cython.binding(False)
    def __enter__(self):
        self.enter()

    @cython.binding(False)
    def __exit__(self, *error):
        self.leave()

    def __reduce__(self):
        return type(self), ()

    cdef void outlive_others(self):
        """In a forked child: none of the other threads is there, be it the owner or one that waits."""
        cdef unsigned long me = PyThread_get_thread_ident()
        self.line = [place for place in self.line if place[0] == me]
        if self.depth and self.owner != me:
            self.depth = 1
            self.leave()


cdef class Claim:
    """``with Claim(lock) as granted``: enter where nobody has, not even this thread, and leave if that was so."""
    cdef Lock lock
    cdef bint granted

    def __cinit__(self, Lock lock not None):
        self.lock = lock

    def __enter__(self):
        self.granted = self.lock.claim()
        return self.granted

    def __exit__(self, *error):
        if self.granted:
            self.lock.leave()
