"""YOURS: what is stored (models.py) and the repositories that hold it. Knows nothing about HTTP or Flask.

MODELS lists every model, so that migrations see them all.
"""

from app.model.models import Session, Token, User
from kit.data.attempts import Attempts
from kit.data.stored_responses import StoredResponse

MODELS = (
    User,
    Session,
    Token,
    StoredResponse,
    Attempts,
)
