# What a forked child finds of networks with which other threads were computing: those threads are not there.
#
# Before a fork the living networks are entered, so that no thread is in the midst of a change; parent and child leave
# them again. A network that could not be had in time is told in the child that its calls were cut off. All of it is C
# code: the handler of a signal, whose exception would be lost there, does not run before what was entered is left.


cdef class Forks:
    """What is to be called at each fork; the wait for all networks together takes so many seconds at most."""
    cdef public double longest_wait
    cdef dict begun  # for each thread the forks under way, of each the networks entered; a handler may begin another

    def __cinit__(self, double longest_wait):
        self.longest_wait, self.begun = longest_wait, {}

    def before(self):
        cdef double end = fg_seconds() + self.longest_wait
        cdef list entered = []
        cdef Network network
        self.begun.setdefault(PyThread_get_thread_ident(), []).append(entered)
        for network in living(NETWORKS):
            if network.lock.enter(max(0.0, end - fg_seconds())):
                entered.append(network)

    def after_in_parent(self):
        cdef unsigned long me = PyThread_get_thread_ident()
        cdef Network network
        for network in self.begun[me].pop():
            network.lock.leave()
        if not self.begun[me]:
            del self.begun[me]

    def after_in_child(self):
        cdef unsigned long me = PyThread_get_thread_ident()
        cdef list mine = self.begun[me]
        cdef set entered = {id(network) for network in mine[len(mine) - 1]}
        cdef Lock lock
        cdef Network network
        self.begun = {me: mine}
        for lock in living(LOCKS):
            lock.outlive_others()
        for network in living(NETWORKS):
            if id(network) not in entered:
                network.outlive_others()
        self.after_in_parent()
