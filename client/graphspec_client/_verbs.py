"""A flow as a method: the same table of verbs makes a client that blocks and one that awaits."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from graphspec_client._exceptions import GraphSpecClientError
from graphspec_client._requests import Call, Flow, Reply

P = ParamSpec("P")
T = TypeVar("T")


def blocking(flow: Callable[Concatenate[Any, P], Flow[T]]) -> Callable[Concatenate[Any, P], T]:
    """The flow as a method that returns its result."""

    @functools.wraps(flow)
    def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        result: T = self._drive(flow(self, *args, **kwargs))
        return result

    return cast(Callable[Concatenate[Any, P], T], _as_method(method, flow))


def awaiting(flow: Callable[Concatenate[Any, P], Flow[T]]) -> Callable[Concatenate[Any, P], Awaitable[T]]:
    """The flow as a coroutine method."""

    @functools.wraps(flow)
    async def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        result: T = await self._drive(flow(self, *args, **kwargs))
        return result

    return cast(Callable[Concatenate[Any, P], Awaitable[T]], _as_method(method, flow))


def _as_method(method: Any, flow: Callable[..., Any]) -> Any:
    """What `help` shows: the flow's parameters, and the result in place of the generator."""
    signature = inspect.signature(flow)
    first, *rest = signature.parameters.values()
    signature = signature.replace(parameters=[first.replace(name="self"), *rest])
    result = str(signature.return_annotation).removeprefix("Flow[").removesuffix("]")
    method.__signature__ = signature.replace(return_annotation=result)
    method.__annotations__ = {**flow.__annotations__, "return": result}
    return method


def drive(flow: Flow[T], send: Callable[[Call], Reply]) -> T:
    """Run a flow to its end; errors of ``send`` are raised inside of it, where it may know better."""
    steps = _Steps(flow)
    while steps.call is not None:
        try:
            reply = send(steps.call)
        except GraphSpecClientError as error:
            steps.throw(error)
        else:
            steps.send(reply)
    return cast(T, steps.result)


async def drive_async(flow: Flow[T], send: Callable[[Call], Awaitable[Reply]]) -> T:
    """`drive`, awaiting each reply."""
    steps = _Steps(flow)
    while steps.call is not None:
        try:
            reply = await send(steps.call)
        except GraphSpecClientError as error:
            steps.throw(error)
        else:
            steps.send(reply)
    return cast(T, steps.result)


class _Steps:
    """A flow under way: the call it waits for, or its result."""

    def __init__(self, flow: Generator[Call, Reply, Any]) -> None:
        self.flow = flow
        self.call: Call | None = None
        self.result: Any = None
        self._advance(lambda: next(flow))

    def send(self, reply: Reply) -> None:
        self._advance(lambda: self.flow.send(reply))

    def throw(self, error: GraphSpecClientError) -> None:
        self._advance(lambda: self.flow.throw(error))

    def _advance(self, step: Callable[[], Call]) -> None:
        try:
            self.call = step()
        except StopIteration as stop:
            self.call, self.result = None, stop.value
