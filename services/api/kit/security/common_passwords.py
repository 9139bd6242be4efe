"""The list of common passwords, and detecting slight variations of them."""

from functools import cache
from pathlib import Path

LIST = Path(__file__).with_suffix(".txt")
SHORTEST_WORD = 4
SHORTEST = 4  # entry without letters: shorter ones, such as `0`, are part of many passwords


def is_common(password: str) -> bool:
    """Return whether a casefolded password is a common one, repeated or with digits or symbols around it.

    So is one that consists of two listed words, and of nothing else.
    """
    words, longest = _listed()
    if any(_is_word(password[:at]) and _is_word(password[at:]) for at in range(len(password))):
        return True
    first = len(password) - len(password.lstrip(_padding(password)))
    last = len(password.rstrip(_padding(password)))
    for start in range(first + 1):
        for length in range(1, longest + 1):
            word = password[start : start + length]
            if word in words and _end_of_repetition(password, word, start) >= last:
                return True
    return False


def is_listed(password: str) -> bool:
    return password in _listed()[0]


def _is_word(text: str) -> bool:
    return len(text) >= SHORTEST_WORD and text.isalpha() and is_listed(text)


def _padding(password: str) -> str:
    """Return the characters that aren't letters."""
    return "".join({character for character in password if not character.isalpha()}) or " "


def _end_of_repetition(password: str, word: str, start: int) -> int:
    while password.startswith(word, start):
        start += len(word)
    return start


@cache
def _listed() -> tuple[frozenset[str], int]:
    """Return the entries and the length of the longest."""
    lines = LIST.read_text(encoding="utf-8").splitlines()
    words = frozenset(
        line
        for line in lines
        if not line.startswith("# ") and (len(line) >= SHORTEST or any(map(str.isalpha, line)))
    )
    return words, max(map(len, words))
