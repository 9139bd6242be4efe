"""Flask without cookie sessions and `async def`. Both cost time on every request, and this API uses neither.

Using one of them is an error with an explanation.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction
from itertools import chain
from typing import Any, NoReturn, TypeVar, cast

from flask import Flask, Request
from flask.sansio.blueprints import Blueprint
from flask.sessions import NullSession, SessionInterface

Register = TypeVar("Register", bound=Callable[..., Any])


class NoSession(NullSession):
    """The value of `flask.session`. It can't be read or written."""

    def _fail(self, *_: object, **__: object) -> NoReturn:
        raise RuntimeError(
            "Flask's cookie sessions are switched off, and with them session, flash() and "
            "get_flashed_messages(): callers are known by their bearer token. Keep data in the database. "
            "If you need cookie sessions, remove session_interface from kit/web/plain_flask.py."
        )

    __getitem__ = __contains__ = get = _fail
    __setitem__ = __delitem__ = clear = pop = popitem = update = setdefault = _fail
    del _fail


class NoSessions(SessionInterface):
    null_session_class = NoSession  # Flask never saves it

    def open_session(self, app: Flask, request: Request) -> NoSession:
        return NoSession()


def refuse_coroutine(function: object) -> None:
    """Raise TypeError if this is `async def`, or a class-based view with a method that is."""
    view_class = getattr(function, "view_class", None)
    names = {"dispatch_request", *(method.lower() for method in getattr(view_class, "methods", None) or ())}
    for each in (function, *(getattr(view_class, name, None) for name in names)):
        if iscoroutinefunction(each) or isasyncgenfunction(each):
            name = f"{each.__module__}.{each.__qualname__}"
            raise TypeError(
                f"{name} is `async def`, which this app doesn't support. Write a plain `def`: every request "
                "has a thread, so a view that waits doesn't block others."
            )


def _reject_async(register: Register) -> Register:
    """Refuse `async def` where a function is registered."""

    @wraps(register)
    def checked(self: Flask, *arguments: Any, **options: Any) -> Any:
        for argument in chain(arguments, options.values()):
            refuse_coroutine(argument)
        return register(self, *arguments, **options)

    return cast("Register", checked)


class PlainFlask(Flask):
    session_interface = NoSessions()

    add_url_rule = _reject_async(Flask.add_url_rule)
    before_request = _reject_async(Flask.before_request)
    after_request = _reject_async(Flask.after_request)
    teardown_request = _reject_async(Flask.teardown_request)
    teardown_appcontext = _reject_async(Flask.teardown_appcontext)
    register_error_handler = _reject_async(Flask.register_error_handler)
    context_processor = _reject_async(Flask.context_processor)

    def register_blueprint(self, blueprint: Blueprint, **options: Any) -> None:
        super().register_blueprint(blueprint, **options)
        for function in self._hooks():
            refuse_coroutine(function)

    def ensure_sync(self, func: Any) -> Any:
        """Return the function unchanged. No view is `async def`, so skip Flask's check on every call."""
        return func

    def _hooks(self) -> Iterator[object]:
        """Yield functions that a blueprint registers without the methods above."""
        kinds = (self.before_request_funcs, self.after_request_funcs, self.teardown_request_funcs)
        for functions in kinds:
            yield from chain.from_iterable(functions.values())
        yield from chain.from_iterable(self.template_context_processors.values())
        for by_status in self.error_handler_spec.values():
            for handlers in by_status.values():
                yield from handlers.values()
