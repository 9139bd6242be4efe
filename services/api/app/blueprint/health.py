"""Is the process alive, and can it serve? For whoever starts, watches and replaces it."""

from flask import Blueprint

from app import lifecycle
from app.blueprint.endpoint import endpoint
from app.blueprint.handlers import NotReady
from app.blueprint.schemas import Health, Readiness
from app.database import failing_check

blueprint = Blueprint("health", __name__, url_prefix="/health")


@blueprint.get("/live")
@endpoint(returns=Health, uses_database=False)
def live() -> Health:
    """Tell that the process serves. Touches nothing else."""
    return Health()


@blueprint.get("/ready")
@endpoint(returns=Readiness, raises=[NotReady], uses_database=False)
def ready() -> Readiness:
    """Tell whether requests can be served: the database answers and is migrated, and no stop has begun."""
    if lifecycle.is_stopping():
        raise NotReady("The app is shutting down.")
    if failing := failing_check():
        raise NotReady(f"The check `{failing}` fails.")
    return Readiness()
