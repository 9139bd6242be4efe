"""The metrics endpoint for Prometheus."""

from flask import Blueprint, Response, current_app
from flask.blueprints import BlueprintSetupState

from kit.web.schemas import Query
from kit.web.validation import read_query, refuse_body

blueprint = Blueprint("metrics", __name__)


def show_metrics() -> Response:
    """Return the metrics. They're for operators, so they aren't in the OpenAPI document."""
    read_query(Query)
    refuse_body()
    metrics = current_app.extensions["metrics"]
    return Response(metrics.text(), headers={"Cache-Control": "no-store"}, content_type=metrics.content_type)


@blueprint.record
def _add_metrics(state: BlueprintSetupState) -> None:
    """Add the path only if METRICS_ENABLED."""
    if state.app.extensions["settings"].metrics_enabled:
        state.add_url_rule("/metrics", "show_metrics", show_metrics)
