"""The list of all models: what the migrations compare the database with."""

from app.model.models import Answer, Attempts, Base, Session, Token, User

MODELS = (
    User,
    Session,
    Token,
    Answer,
    Attempts,
)
METADATA = Base.metadata
