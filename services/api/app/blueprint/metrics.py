"""What Prometheus asks for."""

from flask import Blueprint, Response, current_app
from flask.blueprints import BlueprintSetupState

from app.blueprint.schemas import Query
from app.blueprint.validation import read_query, refuse_body

blueprint = Blueprint("metrics", __name__)


def show_metrics() -> Response:
    """Answer the metrics. No operation of the document: they are for whoever runs the API."""
    read_query(Query)
    refuse_body()
    metrics = current_app.extensions["metrics"]
    return Response(metrics.text(), headers={"Cache-Control": "no-store"}, content_type=metrics.content_type)


@blueprint.record
def _add_metrics(state: BlueprintSetupState) -> None:
    """Without METRICS_ENABLED this path does not exist."""
    if state.app.extensions["settings"].metrics_enabled:
        state.add_url_rule("/metrics", "show_metrics", show_metrics)
