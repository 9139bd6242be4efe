"""Disabled features of Flask raise an explanation when they are used."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from flask import Blueprint, Flask, flash, get_flashed_messages, session
from flask.views import MethodView, View

from app import create_app
from kit.web.endpoint import endpoint
from tests.support.settings import NEVER_OPENED, settings_for

PLAIN_DEF = "Write a plain `def`"


@pytest.fixture
def app() -> Flask:
    return create_app(settings_for(NEVER_OPENED))


@pytest.mark.parametrize(
    "use",
    [
        lambda: session["cart"],
        lambda: session.get("cart"),
        lambda: "cart" in session,
        lambda: session.update(cart=1),
        lambda: session.pop("cart"),
        lambda: setattr(session, "permanent", True),
        lambda: flash("saved"),
        get_flashed_messages,
    ],
)
def test_using_the_flask_session_raises_an_explanation(app: Flask, use: Callable[[], Any]) -> None:
    app.add_url_rule("/cart", "cart", use)

    with pytest.raises(RuntimeError, match=r"cookie sessions are switched off.* flash.*bearer token"):
        app.test_client().get("/cart")


async def waits(*_: object, **__: object) -> str:
    return ""


async def streams() -> AsyncIterator[str]:
    yield ""


class AsyncMethod(MethodView):
    async def post(self) -> str:
        return ""


class AsyncView(View):
    async def dispatch_request(self) -> str:  # type: ignore[override]
        return ""


def register_method_view(on: Any) -> None:
    on.add_url_rule("/x", view_func=AsyncMethod.as_view("x"))


REGISTRATIONS: dict[str, Callable[[Any], object]] = {
    "waits by route": lambda on: on.get("/x")(waits),
    "waits by add_url_rule": lambda on: on.add_url_rule("/x", "x", waits),
    "waits by before_request": lambda on: on.before_request(waits),
    "waits by after_request": lambda on: on.after_request(waits),
    "waits by teardown_request": lambda on: on.teardown_request(waits),
    "waits by context_processor": lambda on: on.context_processor(waits),
    "waits by errorhandler": lambda on: on.errorhandler(ValueError)(waits),
    "waits by errorhandler of a status": lambda on: on.errorhandler(418)(waits),
    "streams": lambda on: on.add_url_rule("/x", "x", streams),
    "AsyncMethod.post": register_method_view,
    "AsyncView.dispatch_request": lambda on: on.add_url_rule("/x", view_func=AsyncView.as_view("x")),
}
OF_BLUEPRINTS: dict[str, Callable[[Any], object]] = {
    "waits by before_app_request": lambda on: on.before_app_request(waits),
    "waits by after_app_request": lambda on: on.after_app_request(waits),
    "waits by teardown_app_request": lambda on: on.teardown_app_request(waits),
    "waits by app_errorhandler": lambda on: on.app_errorhandler(ValueError)(waits),
}


@pytest.mark.parametrize("name", REGISTRATIONS)
def test_async_def_is_refused_when_it_is_registered(app: Flask, name: str) -> None:
    with pytest.raises(TypeError, match=PLAIN_DEF) as refused:
        REGISTRATIONS[name](app)

    assert f"{__name__}.{name.split(maxsplit=1)[0]} is `async def`" in str(refused.value)


@pytest.mark.parametrize("name", REGISTRATIONS | OF_BLUEPRINTS)
def test_async_def_in_a_blueprint_is_refused_when_the_blueprint_is_registered(app: Flask, name: str) -> None:
    blueprint = Blueprint("mine", __name__)
    (REGISTRATIONS | OF_BLUEPRINTS)[name](blueprint)

    with pytest.raises(TypeError, match=PLAIN_DEF) as refused:
        app.register_blueprint(blueprint)

    assert f"{__name__}.{name.split(maxsplit=1)[0]} is `async def`" in str(refused.value)


def test_async_def_is_refused_as_an_endpoint() -> None:
    with pytest.raises(TypeError, match=PLAIN_DEF):
        endpoint()(waits)
