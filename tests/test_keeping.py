"""What a session and an answer keep, for any number of threads."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from gemel.keeping import Keeper, kept


class Shelf(Keeper):
    def __init__(self):
        self.made = []

    @kept
    def slow(self):
        self.made.append("slow")
        time.sleep(0.05)
        return object()

    @kept
    def above(self):
        return (self.slow, "above")


def count(shelf):
    shelf.made.append("count")
    time.sleep(0.05)
    return len(shelf.made)


def test_threads_compute_one_value_once():
    shelf = Shelf()
    with ThreadPoolExecutor(16) as threads:
        slow = set(threads.map(lambda _: shelf.slow, range(50)))
        above = set(threads.map(lambda _: shelf.above, range(50)))
        counted = set(threads.map(lambda _: shelf.once(count), range(50)))
    assert len(slow) == len(above) == len(counted) == 1
    assert shelf.made == ["slow", "count"]


def test_a_value_that_cannot_be_computed_is_tried_again():
    shelf, attempts = Shelf(), []

    def compute(_):
        attempts.append("")
        if len(attempts) == 1:
            raise ValueError("the first fails")
        return 7

    with pytest.raises(ValueError, match="the first"):
        shelf.once(compute)
    assert shelf.once(compute) == 7


def test_objects_do_not_wait_for_each_other():
    """functools.cached_property of Python 3.11 has one lock for all of them."""
    threads = [threading.Thread(target=lambda shelf=shelf: shelf.slow) for shelf in (Shelf(), Shelf(), Shelf())]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started < 0.14


def test_two_objects_may_ask_each_other_from_two_threads():
    left, right, both = Shelf(), Shelf(), threading.Barrier(2)

    def of_other(other):
        def compute(_):
            both.wait(5)
            return other.once(count)

        return compute

    with ThreadPoolExecutor(2) as threads:
        answers = [threads.submit(left.once, of_other(right)), threads.submit(right.once, of_other(left))]
        assert [each.result(5) for each in answers] == [1, 1]
