"""YOURS: the models and their repositories. This package knows nothing about HTTP or Flask.

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
