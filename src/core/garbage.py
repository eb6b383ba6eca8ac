"""When a process looks for cycles, the garbage that counting references leaves."""

import gc

_NEW_OBJECTS = 10_000


def collect_rarely() -> None:
    """Look through what is loaded never again, and through the rest once in 10,000 new objects; call it when loaded.

    To look through all that is loaded takes a tenth of a second, in which nobody is answered. And of the requests and
    batches that are under way nothing is garbage: to look through them every 700 objects, as Python does by itself,
    takes a tenth of the time of a write.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
