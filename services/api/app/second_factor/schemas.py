"""Schemas of second factors."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, WithJsonSchema

from app.authentication import current_caller
from app.blueprint import schemas
from app.blueprint.schemas import NO_CONTROLS, Password
from app.model.second_factors import RECOVERY_CODES
from kit.errors import FieldError
from kit.web.schemas import UNSET, Problem, RequestBody, ResponseBody, Text, Time, example

EXAMPLE_CHALLENGE = "pVGu6SIlqC3UhhdWQBu6tGm8XqSvtIEXBVCmMjBEgAo"
EXAMPLE_RECOVERY_CODE = "k3xm-7rfa-p2wd-9hcs-q6yn-t4ve-b8uj"
# Spaces and hyphens don't count, because apps and people group digits.
Code = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), *NO_CONTROLS]
Challenge = Annotated[str, StringConstraints(min_length=1, max_length=100), *NO_CONTROLS]
ChallengeSeconds = Annotated[int, WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 300})]
RemainingCodes = Annotated[int, WithJsonSchema({"type": "integer", "minimum": 0, "maximum": RECOVERY_CODES})]


class SecondFactorStart(RequestBody):
    model_config = example(current_password="correct horse battery staple")

    current_password: Password


class CodeBody(RequestBody):
    """A code of the authenticator app, or a recovery code."""

    model_config = example(code="123456")

    code: Code


class SecondFactorLogin(RequestBody):
    model_config = example(challenge=EXAMPLE_CHALLENGE, code="123456")

    challenge: Challenge
    code: Code


class StepUp(schemas.StepUp):
    """Your password, and if your account has a second factor, a code of it."""

    code: Code = UNSET

    @classmethod
    def policy_errors(cls, valid: Mapping[str, Any]) -> Iterator[FieldError]:
        yield from super().policy_errors(valid)
        caller = current_caller()
        has_factor = bool(caller and caller.user.second_factor_at)
        if has_factor and valid.get("code") is None:
            yield FieldError(
                "Give a code from your authenticator app, or a recovery code.", "required", "/code"
            )
        if not has_factor and valid.get("code") is not None:
            yield FieldError("Your account has no second factor. Omit `code`.", "unknown_field", "/code")


class NewSecondFactor(ResponseBody):
    """The secret for the authenticator app, alone and as the URI for a QR code. It isn't shown again."""

    model_config = example(
        secret="JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
        uri="otpauth://totp/flask-api:ann?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=flask-api",
    )

    secret: Text
    uri: Text


class RecoveryCodes(ResponseBody):
    """Recovery codes, in case you lose the authenticator app. Each works once. They aren't shown again."""

    model_config = example(recovery_codes=[EXAMPLE_RECOVERY_CODE])

    recovery_codes: Annotated[list[Text], Field(max_length=RECOVERY_CODES)]


class SecondFactorState(ResponseBody):
    """Whether your account has a second factor."""

    model_config = example(
        status="active", confirmed_at="2026-11-22T08:45:28.623847Z", recovery_codes_left=10
    )

    status: Literal["none", "pending", "active"]
    confirmed_at: Time | None
    recovery_codes_left: RemainingCodes


class SecondFactorProblem(Problem):
    """An error (RFC 9457) that also has the challenge for the second step of a login."""

    challenge: Annotated[Text, Field(examples=[EXAMPLE_CHALLENGE])]
    challenge_expires_in: Annotated[ChallengeSeconds, Field(examples=[300])]
