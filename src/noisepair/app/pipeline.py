"""A row of files, each read, worked on and written: the three overlap, in the order of the row.

While the network works on one picture, a thread decodes the next ones and another encodes those
before. How much may lie in memory between the three is bounded in bytes: a row of large pictures is
worked on one by one, as it was without threads.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")
Done = TypeVar("Done")

ROOM = 192 * 2**20  # bytes that may wait, decoded, on either side of the network: 4 of 16 MP


class Ahead(Generic[Item, Read]):
    """Each item with what `read` made of it, or the exception that it raised, read ahead.

    No further item is read while more than `room` bytes wait; `size` tells how many one takes.
    """

    def __init__(
        self, items: Iterable[Item], read: Callable[[Item], Read], size: Callable[[Read], int],
        room: int = ROOM,
    ):  # fmt: skip
        self.items, self.read, self.size, self.room = iter(items), read, size, room
        self.waiting: deque[Future[Read]] = deque()
        self.bytes, self.free = 0, threading.Condition()
        self.stopped = False

    def take(self, item: Item) -> Read:
        """In the thread: wait for room, then read."""
        with self.free:
            self.free.wait_for(lambda: self.bytes < self.room or self.stopped)
        found = self.read(item)
        with self.free:
            self.bytes += self.size(found)
        return found

    def __iter__(self) -> Iterator[tuple[Item, Future[Read]]]:
        """Items in their order; a future that is done, whose result is forgotten by the next."""
        with ThreadPoolExecutor(1, "read") as pool:
            queue: deque[tuple[Item, Future[Read]]] = deque()
            try:
                for item in self.items:
                    queue.append((item, pool.submit(self.take, item)))
                    if len(queue) > 8:
                        yield from self.first(queue)
                while queue:
                    yield from self.first(queue)
            finally:
                with self.free:
                    self.stopped = True
                    self.free.notify_all()
                pool.shutdown(cancel_futures=True)

    def first(self, queue: deque[tuple[Item, Future[Read]]]) -> Iterator[tuple[Item, Future[Read]]]:
        item, future = queue.popleft()
        future.exception()  # waits
        yield item, future
        if future.exception() is None:
            with self.free:
                self.bytes -= self.size(future.result())
                self.free.notify_all()


class Behind(Generic[Done]):
    """Calls made in a thread, in their order; `submit` waits while more than `room` bytes do."""

    def __init__(self, room: int = ROOM):
        self.room, self.bytes, self.free = room, 0, threading.Condition()
        self.pool = ThreadPoolExecutor(1, "write")

    def submit(self, call: Callable[[], Done], size: int) -> "Future[Done]":
        """`call` holds `size` bytes until it is done."""
        with self.free:
            self.free.wait_for(lambda: self.bytes == 0 or self.bytes + size <= self.room)
            self.bytes += size
        future = self.pool.submit(call)
        future.add_done_callback(lambda _: self.release(size))
        return future

    def release(self, size: int) -> None:
        with self.free:
            self.bytes -= size
            self.free.notify_all()

    def __enter__(self) -> "Behind[Done]":
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown()
