"""The pages that the links in mails lead to, unless APP_URL names a front end that has its own.

Opening a link changes nothing, because mail scanners open links too. The page sends the token when its button
is pressed. The token is in the link's fragment, which browsers don't send to the server.
"""

from functools import partial
from pathlib import Path

from flask import Blueprint

from kit.web.static_files import send_file

blueprint = Blueprint("mail_pages", __name__)

FOLDER = Path(__file__).parent / "pages"
FILES = {
    "/verify-email": FOLDER / "verify-email.html",
    "/reset-password": FOLDER / "reset-password.html",
    "/mail-pages/page.css": FOLDER / "page.css",
    "/mail-pages/page.js": FOLDER / "page.js",
}

for path in FILES:
    blueprint.add_url_rule(path, path.rpartition("/")[2].replace(".", "_"), partial(send_file, FILES, path))
