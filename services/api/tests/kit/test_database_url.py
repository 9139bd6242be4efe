"""DATABASE_URL: what hosts hand out works or is explained, and no message contains a part of it."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as some

from kit.database_url import read

TEXT = some.text(some.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
PARTS = ("Q7XZ", "ZZ9Q")  # their middle is in none of our words
SECRET = some.lists(some.sampled_from([*PARTS, *"@/?#%:=&+' ,"])).map("".join)
SHAPES = (
    "{}",
    "{}://u:p@h/d",
    "postgresql+{}://u:p@h/d",
    "postgresql://{}",
    "postgresql://{}:p@h/d",
    "postgresql://u:{}@h/d",
    "postgresql://u:p@{}/d",
    "postgresql://u:p@h:{}/d",
    "postgresql://u:p@h/{}",
    "postgresql://u:p@h/d?{}",
    "postgresql://u:p@h/d?sslmode={}",
    "psql 'postgresql://u:{}@h/d'",
    "DATABASE_URL={}",
    "host=h password={}",
    "jdbc:postgresql://h/d?password={}",
)


@pytest.mark.parametrize(
    "url",
    [
        # As the dashboards of Neon, Supabase, DigitalOcean, Heroku, Render, Railway, Fly.io, Amazon RDS,
        # Azure, Aiven and Crunchy Bridge show it.
        "postgresql://neon:npg_aB3@ep-a.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require",
        "postgresql://postgres.abc:aB3@aws-0-eu-central-1.pooler.supabase.com:6543/postgres",
        "postgresql://doadmin:AVNS_aB3@a-do-user-1-0.db.ondigitalocean.com:25060/defaultdb?sslmode=require",
        "postgres://u9abc:p0def@ec2-192-0-2-1.compute-1.amazonaws.com:5432/d7ghi",
        "postgresql://app:aB3@dpg-abc-a.frankfurt-postgres.render.com/app_1a2b",
        "postgresql://postgres:aB3@containers-us-west-1.railway.app:5432/railway",
        "postgres://app:aB3@app-db.flycast:5432/app?sslmode=disable",
        "postgresql://postgres:aB3@app.abc.eu-central-1.rds.amazonaws.com:5432/postgres",
        "postgresql://app%40server:aB3@server.postgres.database.azure.com:5432/postgres?sslmode=require",
        "postgres://avnadmin:AVNS_aB3@app-project.a.aivencloud.com:12345/defaultdb?sslmode=require",
        "postgres://application:aB3@p.abc.db.postgresbridge.com:5432/postgres",
    ],
)
def test_what_hosts_hand_out_is_accepted(url: str) -> None:
    given, used = url.partition("://")[2], read(url).render_as_string(hide_password=False).partition("://")[2]

    assert sorted(used.replace("?", "&").split("&")) == sorted(given.replace("?", "&").split("&"))


def test_several_hosts_are_tried_in_order() -> None:
    url = read("postgresql://u:p@a.example:5433,[::1],b.example/d?target_session_attrs=read-write")

    assert (url.host, url.port) == (None, None)
    assert (url.query["host"], url.query["port"]) == ("a.example,::1,b.example", "5433,5432,5432")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql+asyncpg://h/d", "names a driver. Write postgresql:// instead of postgresql+asyncpg://"),
        ("postgres+secret://h/d", "names a driver. Write postgresql:// instead of postgres+DRIVER://"),
        ("postgresql://u:p@h", "names no database. Add /DATABASE after the host"),
        ("postgresql://u:p@h/?sslmode=require", "names no database. Add /DATABASE after the host"),
        ("postgresql://u:p@h/d/", "has a / after its database's name"),
        ("postgresql://u:secret/d", "has a port that isn't a number from 1 to 65535, or no @HOST"),
        ("postgresql://u:p@h:99999/d", "has a port that isn't a number from 1 to 65535, or no @HOST"),
        ("postgresql://u:p@h:0/d", "has a port that isn't a number from 1 to 65535, or no @HOST"),
        ("postgresql://u:p@a,b:x/d", "has a port that isn't a number from 1 to 65535, or no @HOST"),
        ("postgresql://u:p@a b/d", "has a host that is neither a name nor an address"),
        ("postgresql://u:p@h/d?sslmode=no-verify", "verify-full. Write require instead of no-verify"),
        (
            "postgresql://u:p@h/d?channel_binding=yes",
            "It is one of disable, prefer, require",
        ),
        ("postgresql://u:p@h/d?connect_timeout=abc", "has a connect_timeout that isn't a whole number"),
        ("postgresql://u:p@/d?host=a,b&port=x,1", "has a port that isn't a whole number"),
        ("postgresql://u:p@h/d?sslmod=require", "driver doesn't know. Did you mean sslmode?"),
        ("postgresql://u:p@h/d?secret=1", "has a parameter that PostgreSQL's driver doesn't know"),
        ("postgresql://u:p@h/d?sslmode=allow&sslmode=allow", "has the parameter sslmode twice"),
        (
            "postgresql://u:p@h/d?pgbouncer=true",
            "pgbouncer of another driver. Set DATABASE_POOLER",
        ),
        ("postgresql://u:p@h/d?schema=public", "schema of another driver. Remove it"),
        ("postgresql://u:p@h/d?ssl=true", "ssl of another driver. Write sslmode=require instead"),
        ("postgresql://u:p@h/d?connection_limit=1", "Set DATABASE_POOL_SIZE instead"),
        ("psql 'postgresql://u:p@h/d'", "is a psql command. Keep only the URL in it"),
        ("'postgresql://u:p@h/d'", "is in quotes. Remove them"),
        ('"postgresql://u:p@h/d"', "is in quotes. Remove them"),
        ("DATABASE_URL=postgresql://u:p@h/d", "repeats the variable's name. Keep only what follows the ="),
        ("export DATABASE_URL=postgresql://h/d", "repeats the variable's name. Keep only what follows the ="),
        ("jdbc:postgresql://h/d?user=u&password=p", "is a JDBC URL. Write postgresql://"),
        ("host=h dbname=d user=u password=p", "is a list of keywords. Write postgresql://"),
        ("Server=h;Database=d;User Id=u;Password=p", "is a list of keywords. Write postgresql://"),
        ("mysql://u:p@h/d", "must be postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:///FILE"),
    ],
)
def test_a_message_names_the_wrong_part_and_the_right_spelling(url: str, message: str) -> None:
    assert message in message_of(url)


def message_of(url: str) -> str:
    """Return why a URL is refused, or nothing."""
    try:
        read(url)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("password", "characters"),
    [
        ("S3cr3tHalf@TailOfIt", "@"),
        ("S3cr3t/Half", "/"),
        ("12/34", "/"),
        ("S3cr3t?Half", "?"),
        ("S3cr3t?half=1", "?"),
        ("S3cr3t#Half", "#"),
        ("S3cr3t%Half", "%"),
        ("S3cr3t%FFHalf", "%"),
        ("a@b/c?d#e", "@/?#"),
    ],
)
def test_an_unescaped_character_is_named(password: str, characters: str) -> None:
    message = message_of(f"postgresql://ann:{password}@db.example.com/app")

    assert "has an unescaped" in message
    assert [c for c in "@/?#%" if f"%{ord(c):02X} instead of {c}" in message] == list(characters)


def test_a_colon_in_a_password_needs_no_escape() -> None:
    assert read("postgresql://ann:a:b@h/d").password == "a:b"


@given(user=TEXT, password=TEXT, database=TEXT)
def test_escaped_text_is_read_as_it_was(user: str, password: str, database: str) -> None:
    parts = [quote(part, safe="") for part in (user, password, database)]

    url = read("postgresql://{}:{}@h/{}".format(*parts))

    assert (url.username, url.password, url.database) == (user, password, database)


@given(secret=SECRET, shape=some.sampled_from(SHAPES))
def test_no_message_contains_a_part_of_the_url(secret: str, shape: str) -> None:
    message = message_of(shape.format(secret))

    assert not [part for part in PARTS if part[1:3] in message]
