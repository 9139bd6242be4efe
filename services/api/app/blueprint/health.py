"""Health checks."""

from flask import Blueprint

from app.blueprint.schemas import Health, Readiness
from kit.data.readiness import failing_check
from kit.serving.lifecycle import is_stopping
from kit.web.endpoint import endpoint
from kit.web.errors import NotReady

blueprint = Blueprint("health", __name__, url_prefix="/health")


@blueprint.get("/live")
@endpoint(query=None, returns=Health, uses_database=False)
def live() -> Health:
    """Check liveness. Answers 200 as long as the process serves requests."""
    return Health()


@blueprint.get("/ready")
@endpoint(query=None, returns=Readiness, raises=[NotReady], uses_database=False)
def ready() -> Readiness:
    """Check readiness. The database must answer and be migrated, and the app must not be shutting down."""
    if is_stopping():
        raise NotReady("The app is shutting down.")
    if failing := failing_check():
        raise NotReady(f"The readiness check `{failing}` failed.")
    return Readiness()
