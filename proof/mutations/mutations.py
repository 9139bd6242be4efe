"""Ways to break the authorization, and the tests that notice. Paths are relative to services/api."""

# ruff: noqa: E501 (a line for each mutation)

from typing import NamedTuple


class Mutation(NamedTuple):
    """A text that occurs once in a file, what replaces it, and a test that then fails."""

    file: str
    old: str
    new: str
    test: str

    def __str__(self) -> str:
        return f"{self.file}: {' '.join(self.old.split())}"


OWNED = "kit/data/resource_repository.py"
PAGES = "kit/data/page_statements.py"
RESPONSES = "kit/data/stored_responses.py"
TOKENS = "app/model/token_repository.py"
SESSIONS = "app/model/session_repository.py"
NETWORKS = "app/model/network_repository.py"
USERS = "app/model/user_repository.py"
ACCOUNT = "app/blueprint/account.py"
AUTH = "app/blueprint/auth.py"
ADMIN = "app/blueprint/users.py"
WHO = "app/authentication.py"
OPENAPI = "kit/web/openapi.py"
COMMANDS = "app/commands.py"
COOKIE = "app/cookies/refresh_cookie.py"
ORIGIN = "app/cookies/same_origin.py"
CONFIRMATION = "app/confirmation.py"
EXPORT = "kit/data/export.py"
AUDIT = "kit/data/audit.py"
EVENTS = "kit/security/events.py"
TRAIL = "app/blueprint/audit.py"
LINKS = "app/model/links.py"
KEYS = "app/model/api_keys.py"
KEY_VIEWS = "app/keys/views.py"
VERIFIER = "app/keys/verification.py"
QUEUE = "kit/jobs/queue.py"
MAILER = "kit/mail/mailer.py"
SMTP = "kit/mail/smtp.py"
MAIL = "app/mail/views.py"
MAIL_JOBS = "app/mail/jobs.py"
FACTORS = "app/model/second_factors.py"
FACTOR_VIEWS = "app/second_factor/views.py"
REQUIRED_FACTOR = "app/second_factor/required_factor.py"
LIMITS = "app/limits.py"
ENCRYPTION = "kit/security/encryption.py"
VIEWS = "tools/scaffold/templates/blueprint.py.jinja"
PARENTS = "tools/scaffold/parents.py"

MUTATIONS = [
    Mutation(file, old, new, f"tests/{module}.py::test_{test}")
    for file, old, new, module, test in [
        # Rows with an owner, and stored responses
        (PAGES, "rows if owner_id is None else", "rows if True else", "kit/data/test_resource_repository", "another_user_cannot_list_read_change_or_delete"),
        (OWNED, "return self.session.scalar(self._row(id))", "return super().get(id)", "kit/data/test_resource_repository", "a_repository_with_an_owner_has_no_rows_of_others"),
        (OWNED, "self._row(id).with_for_update", "select(self.model).where(self.model.id == id).with_for_update", "kit/data/test_resource_repository", "a_repository_with_an_owner_has_no_rows_of_others"),
        (PAGES, "[filtered(rows, model,", "[filtered(select(model), model,", "kit/data/test_resource_repository", "a_cursor_of_another_user_leads_to_ones_own_rows"),
        (RESPONSES, "(StoredResponse.user_id == user_id, StoredResponse.key == key)", "(StoredResponse.key == key,)", "kit/web/test_idempotency", "keys_of_different_users_are_independent"),
        (VIEWS, '", caller.user.id" if r.is_owned else ""', '""', "tools/scaffold/test_commands", "the_tests_of_generated_resources_pass"),
        (VIEWS, 'set writer = "auth=ACCESS_TOKEN, scope=WRITE, " if', 'set writer = "auth=ACCESS_TOKEN, scope=WRITE, " if True or', "tools/scaffold/test_commands", "the_tests_of_generated_resources_pass"),
        (VIEWS, "    require_owner_or_admin(caller, {{ r.name }}.owner_id)\n{% endif %}\n    check_if_match({{ C }}Response, {{ r.name }}{{ required }})\n{% for f in", "    pass\n{% endif %}\n    check_if_match({{ C }}Response, {{ r.name }}{{ required }})\n{% for f in", "tools/scaffold/test_commands", "the_tests_of_authored_resources_and_lists_by_parent_pass"),
        (VIEWS, "    {{ each.parent.class_name }}Repository(db.session).require({{ each.parent.name }}_id)\n", "", "tools/scaffold/test_commands", "the_tests_of_authored_resources_and_lists_by_parent_pass"),
        (VIEWS, ".filter_by({{ each.field.column_name }}={{ each.parent.name }}_id)", "", "tools/scaffold/test_commands", "the_tests_of_authored_resources_and_lists_by_parent_pass"),
        (PARENTS, 'if "admin" in (self.resource.access, self.parent.access):', 'if self.resource.access == "admin":', "tools/scaffold/test_resource", "a_list_by_parent_has_the_stricter_access_of_both_resources"),
        (WHO, "if caller.user.id == owner_id:", "if caller.user.id:", "integration/test_row_owners", "only_the_owner_and_admins_change_a_row"),
        (WHO, " or caller.find_user_again().role != Role.ADMIN:", ":", "integration/test_row_owners", "an_admin_who_loses_the_right_while_a_request_waits_changes_no_row"),
        (PAGES, "filtered(select(model), model, values)", "select(model)", "kit/data/test_resource_repository", "a_filtered_repository_has_only_the_rows_with_these_values"),
        (OWNED, "type(self).rows is not ResourceRepository.rows", "False", "kit/data/test_page_statements", "a_repository_with_its_own_rows_lists_only_those"),
        # The caller of a request
        (TOKENS, "Session.user_id == User.id", "Session.user_id == Session.user_id", "kit/security/test_jwt", "a_token_cannot_mix_claims_of_two_users"),
        (TOKENS, "(Token, Token.session_id == Session.id)", "(Token, Token.session_id == Token.session_id)", "kit/security/test_jwt", "a_token_cannot_mix_claims_of_two_users"),
        (TOKENS, 'Token.id == bindparam("token_id", type_=ID)', 'bindparam("token_id", type_=ID).is_not(None)', "kit/security/test_jwt", "a_token_cannot_mix_claims_of_two_users"),
        (TOKENS, 'Session.id == bindparam("session_id", type_=ID)', 'bindparam("session_id", type_=ID).is_not(None)', "kit/security/test_jwt", "a_token_cannot_mix_claims_of_two_users"),
        (TOKENS, 'User.id == bindparam("user_id", type_=ID)', 'bindparam("user_id", type_=ID).is_not(None)', "kit/security/test_jwt", "a_token_cannot_mix_claims_of_two_users"),
        (TOKENS, "            Token.type == TokenType.ACCESS,\n", "", "kit/security/test_jwt", "a_refresh_token_with_the_type_of_an_access_token_is_refused"),
        (TOKENS, "TokenType.ACCESS,\n            Token.revoked_at.is_(None),\n", "TokenType.ACCESS,\n", "integration/test_token", "revoking_an_access_token_keeps_its_session"),
        (TOKENS, "            Session.ended_at.is_(None),\n", "", "integration/test_logout", "a_token_is_revoked_after_its_logout"),
        (TOKENS, "            User.disabled.is_(False),\n", "", "integration/test_users", "a_live_session_of_a_disabled_account_is_refused"),
        (TOKENS, "if expires_at <= now() - leeway:", "if not expires_at:", "integration/test_refresh", "a_token_expires_with_its_row_even_if_it_says_otherwise"),
        (WHO, "if allowed and caller.user.role not in allowed:", "if False:", "integration/test_users", "users_without_the_admin_role_always_get_403"),
        (WHO, 'not claims["fresh"] or ', "", "integration/test_account", "deleting_the_account_requires_a_token_from_a_login"),
        (WHO, ' or claims["iat"] < oldest', "", "integration/test_account", "deleting_the_account_requires_a_recent_login"),
        (WHO, 'if claims["type"] != type:', 'if not claims["type"]:', "integration/test_refresh", "refresh_refuses_an_access_token"),
        (ACCOUNT, "        require_fresh_token()\n", "        pass\n", "integration/test_second_factor", "a_new_password_needs_a_recent_login_if_the_account_has_a_factor"),
        (CONFIRMATION, "        check_again(caller)\n", "", "integration/test_meanwhile", "a_session_that_ended_meanwhile_changes_nothing"),
        # API keys
        (WHO, "if scope not in caller.scopes:", "if not caller.scopes:", "integration/test_key_authentication", "each_scope_is_needed_and_suffices"),
        (WHO, "_authenticate(None if fresh else scope, ", "_authenticate(scope, ", "integration/test_key_authentication", "a_fresh_role_accepts_no_key"),
        (VERIFIER, "    if not is_key(KEY_PREFIX, key):\n        raise InvalidToken\n", "", "integration/test_key_authentication", "a_mistyped_key_costs_no_statement"),
        (VERIFIER, "    if current_caller() is None:", "    if True:", "integration/test_key_races", "a_request_with_a_body_counts_once"),
        (KEYS, ", User.disabled.is_(False))", ")", "integration/test_keys", "a_disabled_account_has_no_working_key"),
        (KEYS, "if expires_at is not None and expires_at <= now() - leeway:", "if False:", "integration/test_key_authentication", "a_key_expires"),
        (KEYS, "self.last_used_at is None or self.last_used_at < time - USE_PRECISION", "True", "integration/test_key_authentication", "a_request_with_a_key_takes_one_statement"),
        (KEYS, "where(ApiKey.id == id, is_due)", "where(ApiKey.id == id)", "integration/test_key_authentication", "a_use_that_another_process_wrote_is_kept"),
        (KEYS, "return select(ApiKey).where(ApiKey.user_id == user_id)", "return select(ApiKey)", "integration/test_keys", "the_keys_of_others_are_not_found"),
        (KEYS, "delete(ApiKey).where(ApiKey.user_id == user_id).returning", "delete(ApiKey).returning", "integration/test_keys", "a_password_reset_ends_every_key"),
        (KEYS, "delete(ApiKey).where(own, ApiKey.expires_at <= now())", "delete(ApiKey).where(own)", "integration/test_keys", "an_account_has_at_most_twenty_keys"),
        (KEY_VIEWS, "    check_again(caller)\n", "", "integration/test_key_races", "a_session_that_ended_meanwhile_leaves_no_key"),
        (MAIL, "    end_keys(user.id)\n", "", "integration/test_keys", "a_password_reset_ends_every_key"),
        # The refresh token in a cookie
        (ORIGIN, "    if not is_own:\n", "    if is_own is None:\n", "integration/test_cookies", "only_pages_of_the_own_origin_may_use_the_cookie"),
        (ORIGIN, 'site == "same-origin" if site is not None else ', 'site == "same-origin" or ', "integration/test_cookies", "only_pages_of_the_own_origin_may_use_the_cookie"),
        (ORIGIN, "{request.scheme}://", "http://", "integration/test_cookies", "behind_a_proxy_the_origin_has_the_scheme_that_the_client_uses"),
        (COOKIE, "        if is_chosen:\n", "        if not is_chosen:\n", "integration/test_cookies", "only_pages_of_the_own_origin_may_use_the_cookie"),
        (COOKIE, '"httponly": True', '"httponly": False', "integration/test_cookies", "the_cookie_has_exactly_these_attributes"),
        (COOKIE, "        return None\n\n    def forget", "        return refresh_token\n\n    def forget", "integration/test_cookies", "the_login_puts_the_refresh_token_only_in_the_cookie"),
        (COOKIE, "if len(values) > 1:", "if not values:", "integration/test_cookies", "a_malformed_cookie_is_an_invalid_token"),
        (COOKIE, ' and claims["sid"] == str(session_id)', "", "integration/test_cookies", "logout_keeps_the_cookie_of_another_session"),
        (COOKIE, "if is_refused and self.is_used()", "if not is_refused and self.is_used()", "integration/test_cookies", "a_reused_cookie_ends_the_session_and_is_cleared"),
        (WHO, 'None if "Authorization" in request.headers else token_delivery().read()', "token_delivery().read()", "integration/test_cookies", "the_header_wins_over_the_cookie"),
        (AUTH, "        require_access_token()\n", "", "integration/test_cookies", "logout_of_other_sessions_needs_an_access_token"),
        (ACCOUNT, "in_cookie=token_delivery().has_token_of(caller.session_id)", "in_cookie=False", "integration/test_cookies", "a_new_password_sets_a_new_cookie"),
        (SESSIONS, "*_is_live(user_id, now()), User.disabled.is_(False))", "*_is_live(user_id, now()))", "integration/test_cookies", "a_cookie_of_a_disabled_account_is_refused"),
        (SESSIONS, "Session.id == session_id, *_is_live(user_id, now())", "Session.id == session_id", "integration/test_cookies", "a_cookie_of_an_ended_session_is_refused_and_cleared"),
        # Tokens and sessions
        (TOKENS, "Token.id == token_id, Token.user_id == user_id", "Token.id == token_id", "integration/test_token", "tokens_of_other_users_are_not_found"),
        (TOKENS, "select(Token).where(Token.user_id == user_id)", "select(Token)", "integration/test_token", "the_list_has_only_the_callers_tokens_newest_first"),
        (TOKENS, "TokenType.REFRESH and not token.session.ended_at", "TokenType.REFRESH", "integration/test_token", "an_ended_session_keeps_its_time_and_reason"),
        (SESSIONS, "            Session.user_id == bindparam(\"owner\"),\n", "", "integration/test_foreign_ids", "a_refresh_token_with_ids_of_two_users_is_revoked_and_ends_nothing"),
        (SESSIONS, "            Session.refresh_id == bindparam(\"presented\"),\n", "", "integration/test_refresh", "reusing_a_token_ends_the_session_once_its_successor_was_used"),
        (SESSIONS, "            Session.ended_at.is_(None),\n            Session.ends_at", "            Session.ends_at", "integration/test_logout", "logout_ends_the_sessions_of_its_scope"),
        (SESSIONS, "            Session.ends_at > time,\n", "", "integration/test_refresh", "a_session_ends_at_its_maximum_age"),
        (SESSIONS, " or session.user_id != presented.user_id", "", "integration/test_foreign_ids", "a_spent_token_with_the_id_of_another_user_returns_no_tokens"),
        (SESSIONS, " or token.type != TokenType.REFRESH", "", "integration/test_foreign_ids", "the_id_of_an_access_token_cannot_be_refreshed"),
        (SESSIONS, "(reason, Session.id == session_id)", "(reason)", "integration/test_logout", "logout_ends_the_sessions_of_its_scope"),
        (SESSIONS, "(reason, Session.user_id == user_id, *", "(reason, *", "integration/test_logout", "logout_ends_the_sessions_of_its_scope"),
        (SESSIONS, "[Session.id != keep]", "[]", "integration/test_logout", "logout_ends_the_sessions_of_its_scope"),
        (SESSIONS, ".where(Session.ended_at.is_(None), *which)", ".where(*which)", "integration/test_token", "an_ended_session_keeps_its_time_and_reason"),
        (AUTH, "sessions.end(caller.session_id, Reason.LOGOUT)", "pass", "integration/test_logout", "a_token_is_revoked_after_its_logout"),
        (AUTH, "    elif token.revoked_since:\n        raise RevocationIsFinal\n", "", "integration/test_token", "a_revocation_is_final"),
        (SESSIONS, "[Session.user_id == user_id, Session.ended_at.is_(None), ", "[Session.ended_at.is_(None), ", "integration/test_other_users", "the_sessions_of_other_users_do_not_count"),
        (SESSIONS, "[Session.user_id == user_id, Session.ended_at.is_(None), ", "[Session.user_id == user_id, ", "integration/test_other_users", "sessions_that_have_ended_or_expired_do_not_count"),
        (SESSIONS, "Session.ended_at.is_(None), Session.expires_at > time]", "Session.ended_at.is_(None)]", "integration/test_other_users", "sessions_that_have_ended_or_expired_do_not_count"),
        (NETWORKS, "        KnownNetwork.user_id == user_id,\n        KnownNetwork.network", "        KnownNetwork.network", "integration/test_other_users", "a_client_that_one_account_knows_is_limited_at_another"),
        (TOKENS, "Token.revoked_at.is_(None), Token.session", "Token.session", "integration/test_token", "the_list_omits_a_revoked_access_token"),
        # Changes of an account
        (ACCOUNT, "        check_if_match(Account, user)\n", "", "integration/test_meanwhile", "the_version_of_an_account_is_checked_again"),
        (CONFIRMATION, "if not passwords().verify(current_password,", "if not current_password and (", "integration/test_account", "errors_of_a_change_have_a_fixed_order"),
        (ACCOUNT, "sessions.end_all(user.id, Reason.PASSWORD_CHANGED", "dict(a=(user.id, Reason.PASSWORD_CHANGED)", "integration/test_account", "a_new_password_ends_every_session_of_the_user"),
        (AUTH, "if found and is_right else None", "if found else None", "integration/test_login", "login_has_the_same_response_for_a_wrong_name_and_a_wrong_password"),
        (USERS, "user.password_changed_at == seen.password_changed_at and ", "", "integration/test_account", "a_password_that_changes_meanwhile_counts_as_wrong"),
        (USERS, " and not user.disabled", "", "integration/test_meanwhile", "a_disabled_or_deleted_account_cannot_be_logged_in_to"),
        (USERS, "is_same = user and ", "is_same = ", "integration/test_meanwhile", "a_disabled_or_deleted_account_cannot_be_logged_in_to"),
        # Admins
        (USERS, "        self._refuse_last_admin(user_id)\n", "", "integration/test_account", "the_last_admin_cannot_be_removed"),
        (USERS, "            self._refuse_last_admin(user.id)\n", "            pass\n", "integration/test_users", "the_last_admin_cannot_be_removed"),
        (USERS, "role not in (None, Role.ADMIN) or disabled", "role == Role.USER or disabled", "integration/test_users", "the_last_admin_cannot_get_another_role"),
        (USERS, "Role.ADMIN, User.disabled.is_(False)", "Role.ADMIN", "integration/test_users", "a_disabled_admin_does_not_count_as_one"),
        (USERS, "raise TAKEN[error.field] from error", "raise UsernameTaken from error", "integration/test_email", "only_the_holder_of_the_link_learns_that_an_address_is_taken"),
        (USERS, "if admin.role != Role.ADMIN:", "if not admin.role:", "integration/test_users", "an_admin_who_loses_the_right_while_a_request_waits_changes_nothing"),
        (ADMIN, "    check_if_match(UserAccount, user)\n    before", "    before", "integration/test_users", "an_outdated_version_of_an_account_cannot_be_changed"),
        (ADMIN, "    check_if_match(UserAccount, user)\n    users.remove", "    users.remove", "integration/test_users", "an_outdated_version_of_an_account_cannot_be_changed"),
        (ADMIN, "SessionRepository(db.session).end_all(user.id, Reason.REVOKED)", "pass", "integration/test_users", "enabling_revives_no_session"),
        (WHO, "[*roles, Role.ADMIN]", "roles", "kit/test_extension_points", "admins_pass_every_role_and_the_document_names_the_roles"),
        (OPENAPI, "list(auth.roles)", "[]", "kit/test_extension_points", "admins_pass_every_role_and_the_document_names_the_roles"),
        (COMMANDS, "record(Event.ACCOUNT_CHANGED_BY_OPERATOR, account.id, **changed(before, account.rights))", "pass", "integration/test_commands", "user_role_gives_an_account_a_role_at_once"),
        (COMMANDS, "SessionRepository(db.session).end_all(account.id, Reason.REVOKED)", "pass", "integration/test_commands", "user_disable_ends_the_sessions_and_user_enable_allows_logins"),
        (ADMIN, "record(Event.ACCOUNT_CHANGED_BY_ADMIN, user.id, **details)", "pass", "integration/test_other_users", "changes_by_an_admin_are_logged_with_both_ids"),
        (ADMIN, "record(Event.ACCOUNT_DELETED, user.id)", "pass", "integration/test_other_users", "changes_by_an_admin_are_logged_with_both_ids"),
        # The audit trail
        (EVENTS, 'AuditRepository(db.session).insert({"event": str(event), "user_id": user_id, **about}, details)', "pass", "integration/test_audit", "a_row_says_who_did_what_from_where"),
        (AUDIT, "self.session.execute(insert(_table()), row)", "self.session.execute(insert(_table()), row); self.session.commit()", "integration/test_audit", "a_change_and_its_row_are_committed_together"),
        (ACCOUNT, "    forget_addresses(caller.user.id)\n", "", "integration/test_audit", "the_addresses_of_a_deleted_account_are_blanked"),
        (ADMIN, "    forget_addresses(user.id)\n", "", "integration/test_audit", "the_addresses_of_a_deleted_account_are_blanked"),
        (COMMANDS, "    forget_addresses(account.id)\n", "", "integration/test_audit", "the_addresses_of_a_deleted_account_are_blanked"),
        (AUDIT, "and_(AuditRow.user_id == user_id, AuditRow.actor_id.is_(None))", "AuditRow.user_id == user_id", "integration/test_audit", "the_addresses_of_a_deleted_account_are_blanked"),
        (TRAIL, "auth=ADMIN, keys=False", "auth=ACCESS_TOKEN, keys=False", "integration/test_audit", "only_admins_read_the_trail"),
        (TRAIL, '{"user_id": caller.user.id}', "{}", "integration/test_audit", "an_account_sees_its_own_events_only"),
        (TRAIL, 'if by == "admin" else {}', "if False else {}", "integration/test_audit", "an_account_sees_that_an_admin_acted_but_not_who"),
        (EXPORT, "case((hidden_if(table), None), else_=column)", "case((hidden_if(table), column), else_=column)", "integration/test_audit", "an_account_sees_that_an_admin_acted_but_not_who"),
        (COMMANDS, "    record(Event.PASSWORD_CHANGED, account.id)\n", "", "integration/test_audit", "commands_are_recorded"),
        (VIEWS, "    record(Event.{{ r.name | upper }}_DELETED, {{ about }}row_id=str({{ r.name }}.id))\n", "", "tools/scaffold/test_commands", "the_tests_of_generated_resources_pass"),
        # Mailed links
        (LINKS, "Link.purpose == purpose, Link.expires_at > now()\n            )\n        )\n        if link", "Link.expires_at > now()\n            )\n        )\n        if link", "integration/test_password_reset", "a_link_for_one_purpose_does_not_serve_another"),
        (LINKS, "Link.token_hash == _hash(token), Link.purpose == purpose, Link.expires_at > now()", "Link.token_hash == _hash(token), Link.purpose == purpose", "integration/test_password_reset", "a_link_works_once_and_for_half_an_hour"),
        (LINKS, "token_hash=_hash(token)", "token_hash=token", "integration/test_password_reset", "a_forgotten_password_is_replaced"),
        (LINKS, "< MAX_LIVE", "< 100", "integration/test_email", "at_most_three_links_are_sent"),
        (MAIL, "    links.use(link)\n    users.set_password", "    users.set_password", "integration/test_mail_races", "an_account_is_consistent_whatever_happens_at_once"),
        (MAIL, "SessionRepository(db.session).end_all(user.id, Reason.PASSWORD_CHANGED)", "pass", "integration/test_password_reset", "a_forgotten_password_is_replaced"),
        (MAIL, "if user is None or user.disabled:", "if user is None:", "integration/test_password_reset", "a_disabled_account_gets_no_link_and_cannot_use_one"),
        (MAIL, " or user.pending_email != link.email", "", "integration/test_email", "a_link_verifies_no_other_address"),
        (MAIL_JOBS, "user.disabled or user.password_changed_at > requested_at", "user.password_changed_at > requested_at", "integration/test_password_reset", "a_disabled_account_gets_no_link_and_cannot_use_one"),
        (MAIL_JOBS, "_send_link(user, user.verified_email, Purpose.RESET_PASSWORD", "_send_link(user, email, Purpose.RESET_PASSWORD", "integration/test_password_reset", "the_message_goes_to_the_stored_spelling"),
        (USERS, "        LinkRepository(self.session).void(user.id)\n\n    def request_email", "\n    def request_email", "integration/test_password_reset", "a_change_of_the_account_voids_the_link"),
        (USERS, "        user.updated_at = now()\n        LinkRepository(self.session).void(user.id)\n\n    def verify_email", "        user.updated_at = now()\n\n    def verify_email", "integration/test_password_reset", "a_change_of_the_account_voids_the_link"),
        (USERS, "user.password_hash, user.pending_email = password_hash, None", "user.password_hash = password_hash", "integration/test_email", "a_new_password_cancels_a_change_of_the_address"),
        # Exports, jobs and mail
        (EXPORT, ".where(belongs_to(user_id))", "", "integration/test_export", "an_export_contains_the_rows_of_the_caller_only"),
        (ACCOUNT, "auth=FRESH_TOKEN, keys=False, returns=AccountExport", "auth=ACCESS_TOKEN, keys=False, returns=AccountExport", "integration/test_export", "an_export_requires_a_recent_login"),
        (RESPONSES, 'body: Mapped[str | None] = mapped_column(Text, info={"secret": True})', "body: Mapped[str | None] = mapped_column(Text)", "integration/test_export", "an_export_contains_no_secret"),
        (QUEUE, "delete(QueuedJob).where(*_held(job))", "delete(QueuedJob).where(QueuedJob.id == job.id)", "kit/jobs/test_worker", "a_worker_whose_lease_has_expired_changes_nothing"),
        (QUEUE, "            ScheduledJob.due_at == known.due_at,\n", "", "kit/jobs/test_worker", "only_one_of_two_workers_queues_a_scheduled_job"),
        (SMTP, "smtp.starttls(context=tls)", "smtp.starttls()", "kit/mail/test_transports", "a_wrong_certificate_is_refused_before_the_password_is_sent"),
        (MAILER, 'message["To"] = _address(to)', 'message["To"] = to', "kit/mail/test_mailer", "another_recipient_than_one_address_is_refused"),
        (COMMANDS, "SessionRepository(db.session).end_all(account.id, Reason.PASSWORD_CHANGED)", "pass", "integration/test_commands", "set_password_ends_the_sessions"),
        (COMMANDS, "            sessions.end_all(account.id, Reason.REVOKED)\n", "            pass\n", "integration/test_commands", "token_revoke_all_ends_every_session_and_keeps_accounts"),
        # Second factors
        (FACTORS, ", SecondFactor.last_step < step)", ")", "integration/test_second_factor", "a_code_works_once"),
        (FACTORS, "return self.change(delete(RecoveryCode).where(*own)) == 1", "return self.session.scalar(select(RecoveryCode).where(*own)) is not None", "integration/test_second_factor", "a_recovery_code_works_once_in_any_spelling"),
        (FACTORS, "(RecoveryCode.user_id == user_id, RecoveryCode.code_hash", "(RecoveryCode.code_hash", "integration/test_second_factor", "a_recovery_code_of_another_account_is_wrong"),
        (FACTORS, "                LoginChallenge.tries < MAX_TRIES,\n", "", "integration/test_second_factor", "a_challenge_has_five_tries"),
        (FACTORS, "                LoginChallenge.expires_at > now(),\n", "", "integration/test_second_factor", "a_challenge_expires_after_five_minutes"),
        (FACTORS, "if decrypted.plaintext[:16] != factor.user_id.bytes:", "if False:", "integration/test_second_factor", "the_secret_of_another_account_is_useless"),
        (FACTORS, "        if not decrypted.is_current:\n", "        if False:\n", "integration/test_second_factor", "a_new_signing_key_reads_and_replaces_the_old_encryption"),
        (FACTOR_VIEWS, "        challenges.use(id)\n", "", "integration/test_second_factor", "a_challenge_works_once"),
        (FACTOR_VIEWS, " or user.password_changed_at != password_changed_at", "", "integration/test_second_factor", "a_changed_password_voids_a_challenge"),
        (FACTOR_VIEWS, "user is None or user.disabled or", "user is None or", "integration/test_second_factor", "a_disabled_account_cannot_complete_a_login"),
        (FACTOR_VIEWS, "if user_id == caller.user.id:", "if False:", "integration/test_second_factor", "an_admin_needs_a_code_for_their_own_factor"),
        (AUTH, "forget_failures=isinstance(outcome, NewTokens)", "forget_failures=True", "integration/test_second_factor", "the_right_password_clears_no_limit_before_the_code"),
        (AUTH, "        used = check_code(user)\n", "        used = {}\n", "integration/test_second_factor", "a_step_up_needs_the_password_and_the_code"),
        (LIMITS, "CODE_LIMIT = RateLimit(10, 3600)", "CODE_LIMIT = RateLimit(1000, 3600)", "integration/test_second_factor", "wrong_codes_count_together_wherever_they_are_sent"),
        (LIMITS, '{limit_keys("second factor", str(user_id))', '{limit_keys("second factor", str(user_id), client_network())', "integration/test_second_factor", "a_thousand_wrong_codes_with_right_passwords_in_between_are_ten"),
        (WHO, "    if not may_enrol:\n        refuse_without_factor(caller.user)\n", "", "integration/test_required_factor", "an_account_that_needs_a_factor_can_only_add_one"),
        (REQUIRED_FACTOR, " or user.role == Role.ADMIN", " or True", "integration/test_required_factor", "the_setting_says_which_accounts_need_a_factor"),
        (SESSIONS, "        find_user_again(self.session, *ids, lifetimes.leeway)\n", "", "integration/test_meanwhile", "a_session_that_ends_just_before_its_lock_gets_no_fresh_token"),
        (SESSIONS, "        tokens.make_room(session, time, lifetimes.leeway)\n", "", "integration/test_second_factor", "a_session_has_at_most_ten_live_access_tokens"),
        (ENCRYPTION, "for number, key in enumerate(keys):", "for number, key in enumerate([*keys][:1]):", "kit/security/test_encryption", "a_fallback_key_decrypts_but_is_not_current"),
    ]
]  # fmt: skip
