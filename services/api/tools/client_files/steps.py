"""The scenario: what a client does with this API, in order. The rest comes from the OpenAPI document.

The steps of each tag run in the order of the document's tags. A step can store variables for later ones. The
last steps of each tag leave a valid `access_token` and `refresh_token`.
"""

from dataclasses import dataclass, field

# The variables before the first request. Variables that steps store are empty until then.
VARIABLES = {
    "baseUrl": "http://localhost:5000",
    "email": "ann@example.com",  # an API with mail sends messages to this address
    "password": "correct horse battery staple",
    "new_password": "another horse, another staple",
}
# Fields of the document's examples that are replaced by variables.
USER_FIELDS = {
    "username": "{{username}}",
    "password": "{{password}}",
    "current_password": "{{password}}",
    "email": "{{email}}",
}
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
PAIR = {"access_token": "body.access_token", "refresh_token": "body.refresh_token"}
NEW_PAIR = {name: place.replace("body.", "body.tokens.") for name, place in PAIR.items()}


@dataclass(frozen=True)
class Step:
    """One request. By default, path, token and body come from the document and its examples."""

    title: str  # unique: it names the request in the .http files
    operation: str  # the operationId
    status: int
    code: str = ""  # of the problem
    body: dict[str, object] = field(default_factory=dict)  # fields that replace the example's
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    path: dict[str, str] = field(default_factory=dict)
    token: str = ""  # a variable, instead of the one named by the operation's security scheme
    store: dict[str, str] = field(default_factory=dict)  # variable: place in the response


REGISTER = Step(
    "Register",
    "auth_register",
    201,
    body={"username": "ann-{{$guid}}"},  # a new name, so that it runs on a used database too
    store={"username": "body.username"},
)
LOG_IN = Step("Log in", "auth_login", 200, store=PAIR | {"spent_token": "body.refresh_token"})
SCENARIO = {
    "index": (
        Step("Get the index", "index_show", 200),
        Step("Get the index with a browser", "index_show", 302, headers={"Accept": "text/html"}),
    ),
    "documentation": (
        Step("Get the OpenAPI document", "documentation_show_openapi", 200, store={"etag": "headers.ETag"}),
        Step(
            "Get the OpenAPI document again",
            "documentation_show_openapi",
            304,
            headers={"If-None-Match": "{{etag}}"},
        ),
    ),
    "health": (
        Step("Check liveness", "health_live", 200),
        Step("Check readiness", "health_ready", 200),
    ),
    "auth": (
        REGISTER,
        Step("Register a taken name", "auth_register", 409, "username_taken"),
        Step(
            "Register with a short password",
            "auth_register",
            422,
            "validation_failed",
            body={"password": "short"},
        ),
        Step(
            "Log in with a wrong password",
            "auth_login",
            401,
            "invalid_credentials",
            body={"password": "{{new_password}}"},
        ),
        LOG_IN,
        Step("Log in on a second device", "auth_login", 200),
        Step(
            "List the newest token",  # one of the second device's
            "auth_list_tokens",
            200,
            query={"limit": "1"},
            store={"token_id": "body.items[0].id"},
        ),
        Step(
            "List tokens with an invalid limit",
            "auth_list_tokens",
            422,
            "validation_failed",
            query={"limit": "0"},
        ),
        Step("Revoke a token", "auth_change_token", 200, path={"token_id": "{{token_id}}"}),
        Step("Revoke the token again", "auth_change_token", 200, path={"token_id": "{{token_id}}"}),
        Step(
            "Restore a revoked token",
            "auth_change_token",
            409,
            "revocation_is_final",
            body={"revoke": False},
            path={"token_id": "{{token_id}}"},
        ),
        Step(
            "Revoke a token that is not yours",
            "auth_change_token",
            404,
            "token_not_found",
            path={"token_id": UNKNOWN_ID},
        ),
        Step("Refresh with an access token", "auth_refresh", 401, "invalid_token", token="access_token"),
        Step("Refresh", "auth_refresh", 200, store=PAIR),
        Step("Refresh again", "auth_refresh", 200, store=PAIR),
        Step("Refresh with a spent token", "auth_refresh", 401, "token_reused", token="spent_token"),
        Step("Use a token of the ended session", "account_read", 401, "token_revoked"),
        Step("Log in again", "auth_login", 200, store=PAIR),
        Step(
            "Step up with a wrong password",
            "auth_step_up",
            403,
            "wrong_current_password",
            body={"current_password": "{{new_password}}"},
        ),
        Step("Step up", "auth_step_up", 200),
        Step("Log out other sessions", "auth_logout", 204, body={"scope": "others"}),
        Step("Log out", "auth_logout", 204),
        Step("Use a token after the logout", "auth_list_tokens", 401, "token_revoked"),
        Step("Log in for the next steps", "auth_login", 200, store=PAIR),
    ),
    "account": (
        Step("Get the account", "account_read", 200, store={"etag": "headers.ETag"}),
        Step("Get the unchanged account", "account_read", 304, headers={"If-None-Match": "{{etag}}"}),
        Step(
            "Change the account with a wrong password",
            "account_change",
            403,
            "wrong_current_password",
            body={"current_password": "{{new_password}}"},
        ),
        Step(
            "Change an outdated version of the account",
            "account_change",
            412,
            "precondition_failed",
            headers={"If-Match": '"another"'},
        ),
        Step(
            "Rename the account",
            "account_change",
            200,
            body={"username": "{{username}}.2"},
            headers={"If-Match": "{{etag}}"},
            store={"username": "body.username"},
        ),
        Step(
            "Change the password",
            "account_change",
            200,
            body={"password": "{{new_password}}"},
            store=NEW_PAIR,
        ),
        Step(
            "Replace the account",
            "account_replace",
            200,
            body={"current_password": "{{new_password}}"},
            store=NEW_PAIR,
        ),
        Step("Export the account", "account_export_account", 200),
        Step("Refresh before deleting", "auth_refresh", 200, store=PAIR),
        Step(
            "Export the account without a fresh login", "account_export_account", 401, "fresh_token_required"
        ),
        Step("Delete the account without a fresh login", "account_delete", 401, "fresh_token_required"),
        Step("Log in before deleting", "auth_login", 200, store=PAIR),
        Step("Delete the account", "account_delete", 204),
        Step("Use a token of the deleted account", "account_read", 401, "token_revoked"),
        Step("Log in to the deleted account", "auth_login", 401, "invalid_credentials"),
        Step("Register the name again", "auth_register", 201),
        Step("Log in to the new account", "auth_login", 200, store=PAIR),
    ),
    "keys": (
        Step("Create an API key", "keys_create", 201, store={"api_key": "body.key", "key_id": "body.id"}),
        Step(
            "Create a key with an unknown scope",
            "keys_create",
            422,
            "validation_failed",
            body={"scopes": ["a:b"]},
        ),
        Step("List the API keys", "keys_list_keys", 200),
        Step("Get the API key", "keys_read", 200, path={"key_id": "{{key_id}}"}),
        Step("Get the account with the API key", "account_read", 200, token="api_key"),
        Step(
            "List the API keys with the API key", "keys_list_keys", 403, "insufficient_scope", token="api_key"
        ),
        Step("Rename the API key", "keys_change", 200, path={"key_id": "{{key_id}}"}),
        Step("Delete the API key", "keys_delete", 204, path={"key_id": "{{key_id}}"}),
        Step("Get the deleted API key", "keys_read", 404, "key_not_found", path={"key_id": "{{key_id}}"}),
        Step(
            "Get the account with the deleted API key", "account_read", 401, "token_revoked", token="api_key"
        ),
    ),
    "audit": (
        Step("List your account's events", "audit_list_account_events", 200),
        Step("List the audit trail without being an admin", "audit_list_audit_trail", 403, "forbidden"),
    ),
    "users": (
        Step("List the accounts without being an admin", "users_list_users", 403, "forbidden"),
        Step(
            "Get an account without being an admin",
            "users_read",
            403,
            "forbidden",
            path={"user_id": UNKNOWN_ID},
        ),
        Step(
            "Disable an account without being an admin",
            "users_change",
            403,
            "forbidden",
            path={"user_id": UNKNOWN_ID},
        ),
        Step(
            "Delete an account without being an admin",
            "users_delete",
            403,
            "forbidden",
            path={"user_id": UNKNOWN_ID},
        ),
    ),
    "problems": (
        Step("List the problems", "problems_list_problems", 200),
        Step("Get a problem", "problems_show", 200, path={"name": "token-reused"}),
        Step("Get an unknown problem", "problems_show", 404, "not_found", path={"name": "unknown"}),
    ),
    # part: second-factor
    # Without a code: the files can't compute the codes of an authenticator app.
    "second_factor": (
        Step("Get the state of the second factor", "second_factor_read", 200),
        Step(
            "Add a second factor with a wrong password",
            "second_factor_start",
            403,
            "wrong_current_password",
            body={"current_password": "{{new_password}}"},
        ),
        Step(
            "Confirm a second factor that was not added",
            "second_factor_confirm",
            404,
            "second_factor_not_found",
        ),
        Step("Add a second factor", "second_factor_start", 201),
        Step(
            "Confirm the second factor with a wrong code",
            "second_factor_confirm",
            401,
            "invalid_code",
            body={"code": "12345"},
        ),
        Step(
            "Replace the recovery codes without a second factor",
            "second_factor_replace_recovery_codes",
            404,
            "second_factor_not_found",
        ),
        Step(
            "Remove a second factor that is not active",
            "second_factor_remove",
            404,
            "second_factor_not_found",
        ),
        Step(
            "Complete a login with an unknown challenge", "second_factor_complete_login", 401, "invalid_code"
        ),
        Step(
            "Remove the second factor of an account without being an admin",
            "second_factor_remove_for_user",
            403,
            "forbidden",
            path={"user_id": UNKNOWN_ID},
        ),
        Step("Refresh before a step-up", "auth_refresh", 200, store=PAIR),
        Step("Add a second factor without a fresh login", "second_factor_start", 401, "fresh_token_required"),
        Step(
            "Step up to add a second factor", "auth_step_up", 200, store={"access_token": "body.access_token"}
        ),
        Step("Add a second factor after the step-up", "second_factor_start", 201),
    ),
    # end of part
    # Only an API with mail has this tag.
    "email": (
        Step(
            "Register with an e-mail address",
            "auth_register",
            201,
            body={"username": "bob-{{$guid}}"},
            store={"second_username": "body.username"},
        ),
        Step(
            "Log in to the account with an address",
            "auth_login",
            200,
            body={"username": "{{second_username}}"},
            store={"second_token": "body.access_token"},
        ),
        Step("Send the verification again", "email_resend_verification", 202, token="second_token"),
        Step("Delete the account with an address", "account_delete", 204, token="second_token"),
        Step(
            "Register with an invalid address",
            "auth_register",
            422,
            "validation_failed",
            body={"email": "ann"},
        ),
        Step(
            "Change the e-mail address with a wrong password",
            "email_change_email",
            403,
            "wrong_current_password",
            body={"current_password": "{{new_password}}"},
        ),
        Step("Change the e-mail address", "email_change_email", 202),
        Step("Get the account with its address", "account_read", 200),
        Step("Verify an address with an unknown link", "email_verify_email", 400, "link_invalid"),
        Step("Remove the e-mail address", "email_remove_email", 204),
        Step("Request a password reset", "email_request_password_reset", 202),
        Step("Reset a password with an unknown link", "email_reset_password", 400, "link_invalid"),
    ),
}
# What an optional feature's own .http file begins with.
START = (REGISTER, LOG_IN)
# A folder at the very end, so that nothing stays in the database.
CLEANUP = (
    Step("Log in for the cleanup", "auth_login", 200, store=PAIR),
    Step("Delete the remaining account", "account_delete", 204),
)
