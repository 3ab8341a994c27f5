"""The executor without worker processes: threads of this process."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from graphspec import LimitError
from graphspec_server.errors import Overloaded
from graphspec_server.executor import Arrays, Feeds, Graph, Work
from graphspec_server.executor.sessions import SessionCache

T = TypeVar("T")


class BoundedPool:
    """So many threads, so many calls waiting for one, and nobody waiting for longer than the deadline.

    A call that is under way cannot be stopped: past the deadline the caller is told, and the thread is free again
    only when the call returns by itself.
    """

    def __init__(self, threads: int, queue: int, seconds: float, name: str) -> None:
        self._new_threads = functools.partial(ThreadPoolExecutor, threads, thread_name_prefix=name)
        self._pool = self._new_threads()
        self._limit = threads + queue
        self._seconds = seconds
        self._pending = 0
        self._lock = threading.Lock()

    @property
    def pending(self) -> int:
        """Calls under way or waiting."""
        return self._pending

    async def call(self, function: Callable[[float], T]) -> T:
        """Call a function in a thread, with the deadline (of `time.monotonic`) as its argument.

        Raises:
            Overloaded: Too many calls are waiting.
            LimitError: The deadline has passed.
        """
        deadline = time.monotonic() + self._seconds
        future = self._submit(function, deadline)
        try:
            # Those who look at the deadline themselves tell more of where they were; they get a moment to do so.
            return await asyncio.wait_for(asyncio.wrap_future(future), self._seconds + min(0.05, self._seconds / 10))
        except TimeoutError:
            raise LimitError(f"The time limit of {self._seconds:g} s has passed.", code="deadline") from None
        except MemoryError:
            raise LimitError("The work needs more memory than there is.", code="memory") from None
        except RecursionError:
            raise LimitError("The graph is nested too deep.", code="nesting") from None

    def close(self) -> None:
        """Forget the calls that wait, and let the threads end; a call that comes later starts new ones."""
        with self._lock:
            old, self._pool = self._pool, self._new_threads()
        old.shutdown(wait=False, cancel_futures=True)

    def _submit(self, function: Callable[[float], T], deadline: float) -> Future[T]:
        with self._lock:
            if self._pending >= self._limit:
                raise Overloaded("Too many runs are waiting; try again later.", expected=f"at most {self._limit}")
            self._pending += 1
            future = self._pool.submit(function, deadline)
        future.add_done_callback(lambda _: self._done())
        return future

    def _done(self) -> None:
        with self._lock:
            self._pending -= 1


class InProcessExecutor:
    """Runs graphs in a bounded pool of threads, and keeps what it compiled."""

    def __init__(self, *, threads: int, queue: int, seconds: float, sessions: int) -> None:
        self._pool = BoundedPool(threads, queue, seconds, "graphspec-run")
        self._sessions = SessionCache(sessions)

    @property
    def pending(self) -> int:
        """Runs under way or waiting."""
        return self._pool.pending

    async def submit(self, graph: Graph, work: Work, feeds: Feeds) -> Arrays:
        """Run a graph; see `Executor.submit`."""

        def run(deadline: float) -> Arrays:
            if time.monotonic() > deadline:
                raise LimitError("The run waited for longer than it may take.", code="deadline")
            compiled = self._sessions.get(graph, work)
            return compiled.run(feeds, work.fetches, deadline)

        return await self._pool.call(run)

    def close(self) -> None:
        """Forget the runs that wait."""
        self._pool.close()
