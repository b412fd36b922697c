"""What may be a password: the one place that every source's text goes through before it is a secret. Pure.

Editors and shells add to a password what is none of it: a byte order mark, a line end. Sent along, it is a wrong
password, and costs one of the few failures that an account has. What must not live here: where the text is from. No
sentence here repeats any of it.
Sources: MS-SAMR 2.2.6.21 (256 UTF-16 code units); Windows PowerShell's ``Out-File`` and ``>`` write UTF-16 with a mark.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

from pusher.config.wording import INVISIBLE, Wrong

MOST = 256
"""UTF-16 code units. No account of Windows can have a longer password."""
_MARK = "\ufeff"
_LINE_END = re.compile("[\r\n\x85\u2028\u2029]")
_JOINERS = "\u200c\u200d"
"""Invisible, and yet typed: Persian and several scripts of India are not written without them."""
_ENCODINGS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_ONE_LINE = "one line: the password and nothing else"


def text_of(data: bytes) -> str:
    """A file's text: UTF-8, or UTF-16 where a byte order mark says so. Wrong where it is neither."""
    mark, encoding = next((one for one in _ENCODINGS if data.startswith(one[0])), (b"", "utf-8"))
    try:
        return data[len(mark) :].decode(encoding)
    except UnicodeDecodeError:
        # Not "from" it: that error carries what it was to decode.
        raise Wrong("is not text", "UTF-8, or UTF-16 with a byte order mark") from None


def password_in(text: str) -> str:
    """The password that ``text`` holds, without a byte order mark before it and line ends behind; or Wrong.

    Spaces are part of a password, also around it. Whatever else nobody types is refused: it can only be an accident.
    """
    password = text.lstrip(_MARK).rstrip("\r\n")
    if not password:
        raise Wrong("is empty", "a password")
    if _LINE_END.search(password):
        raise Wrong("has more than one line", _ONE_LINE)
    for character in password:
        if (found := _unfit(character)) is not None:
            raise Wrong(f"has {found}", f"{_ONE_LINE}, as it is typed")
    if len(password.encode("utf-16-le")) > 2 * MOST:
        raise Wrong("is too long for a password of Windows", f"at most {MOST} characters")
    return password


def _unfit(character: str) -> str | None:
    category = unicodedata.category(character)
    if character == "\0":
        return "the character U+0000 (is it UTF-16 without a byte order mark?)"
    if category == "Cs":
        return "a byte that is not UTF-8 text"
    if category == "Cc" or character in "\ufffe\uffff":
        return f"the control character U+{ord(character):04X}"
    if INVISIBLE.match(character) and character not in _JOINERS:
        return f"the invisible character U+{ord(character):04X}"
    return None
