"""Reading, working and writing overlap, in order, and no more lies in memory than may."""

import threading
import time

import pytest

from noisepair.app.pipeline import Ahead, Behind


def test_items_come_in_their_order_with_what_was_read_or_what_went_wrong():
    def read(item):
        if item % 3 == 1:
            raise ValueError(f"{item} is damaged")
        return -item

    seen = [
        (item, future.exception() or future.result())
        for item, future in Ahead(range(30), read, abs)
    ]
    assert [item for item, _ in seen] == list(range(30))
    for item, came in seen:
        assert str(came) == (f"{item} is damaged" if item % 3 == 1 else str(-item))


def test_reading_goes_on_while_an_item_is_worked_on():
    begun = [threading.Event() for _ in range(3)]

    def read(item):
        begun[item].set()
        return 1

    items = iter(Ahead(range(3), read, int))
    next(items)
    assert begun[2].wait(5), "two items ahead"


@pytest.mark.parametrize(("room", "most"), [(1, 1), (30, 3)])
def test_no_more_waits_in_memory_than_there_is_room_for(room, most):
    """Ten bytes an item, the one that is worked on too."""
    alive, largest = 0, 0
    lock = threading.Lock()

    def read(item):
        nonlocal alive, largest
        with lock:
            alive += 1
            largest = max(largest, alive)
        return 10

    for _ in Ahead(range(20), read, int, room=room):
        time.sleep(0.01)
        with lock:
            alive -= 1
    assert largest == most


def test_a_row_that_is_left_early_leaves_no_thread_behind():
    before = threading.active_count()
    items = iter(Ahead(range(1000), lambda item: 10, int, room=5))
    next(items)
    items.close()
    assert threading.active_count() == before


def test_calls_are_made_in_order_and_wait_for_room():
    held, most, order = 0, 0, []
    lock = threading.Lock()

    def put(item):
        nonlocal held
        time.sleep(0.002)
        order.append(item)
        with lock:
            held -= 10
        return item

    with Behind(room=25) as writer:
        futures = []
        for item in range(20):
            future = writer.submit(lambda item=item: put(item), 10)
            with lock:
                held += 10
                most = max(most, held)
            futures.append(future)
    assert order == [future.result() for future in futures] == list(range(20))
    assert most <= 30, "two wait, and one may just have been let in"
    with Behind(room=5) as writer:
        assert writer.submit(lambda: "large", 1000).result() == "large", "alone, anything goes"


def test_what_goes_wrong_in_writing_is_kept_for_its_own_file():
    def fail():
        raise OSError("the disk is full")

    with Behind() as writer:
        bad, good = writer.submit(fail, 1), writer.submit(lambda: 2, 1)
    assert str(bad.exception()) == "the disk is full"
    assert good.result() == 2
