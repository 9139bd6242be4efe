"""The models and their repositories, yours to change. This package knows nothing about HTTP or Flask.

Import every model here, so that migrations see it.
"""

from app.model.api_keys import ApiKey
from app.model.links import Link
from app.model.models import KnownNetwork, Session, Token, User
from app.model.second_factors import LoginChallenge, RecoveryCode, SecondFactor
from kit.data.attempts import Attempts
from kit.data.audit import AuditRow
from kit.data.stored_responses import StoredResponse
from kit.jobs.queue import QueuedJob, ScheduledJob
from kit.storage.stored_files import StoredFile

MODELS = (
    User,
    Session,
    Token,
    KnownNetwork,
    Link,
    ApiKey,
    SecondFactor,
    RecoveryCode,
    LoginChallenge,
    StoredResponse,
    Attempts,
    AuditRow,
    QueuedJob,
    ScheduledJob,
    StoredFile,
)
