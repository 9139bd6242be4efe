"""The passwords that everybody tries first: a list, and what is little more than one of them."""

from functools import cache
from pathlib import Path

LIST = Path(__file__).with_suffix(".txt")
SHORTEST = (
    4  # of what counts: nearly every password is a shorter entry, such as `0`, with something around it
)


def is_common(password: str) -> bool:
    """Whether a casefolded password is a listed one, perhaps repeated, with digits or signs at its ends."""
    words, longest = _listed()
    first = len(password) - len(password.lstrip(_padding(password)))
    last = len(password.rstrip(_padding(password)))
    for start in range(first + 1):
        for length in range(SHORTEST, longest + 1):
            word = password[start : start + length]
            if word in words and _end_of_repetition(password, word, start) >= last:
                return True
    return False


def _padding(password: str) -> str:
    """Return those of its characters that are no letters."""
    return "".join({character for character in password if not character.isalpha()}) or " "


def _end_of_repetition(password: str, word: str, start: int) -> int:
    while password.startswith(word, start):
        start += len(word)
    return start


@cache
def _listed() -> tuple[frozenset[str], int]:
    """Return the entries, and the length of the longest."""
    lines = LIST.read_text(encoding="utf-8").splitlines()
    words = frozenset(line for line in lines if len(line) >= SHORTEST and not line.startswith("# "))
    return words, max(map(len, words))
