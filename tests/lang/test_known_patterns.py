"""Regular expressions that people write, and those that are known to hang a server."""

from __future__ import annotations

import pytest

from flinfast.lang.ambiguity import cost_of

LENGTH_ENOUGH = 300  # characters that each of them must be able to take

# From the standards, the documentation of frameworks, and collections that are copied often.
REAL: dict[str, str] = {
    "email html5": (
        r"^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?("
        r"?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$"
    ),
    "email simple": r"^[\w.+-]+@[\w-]+\.[\w.-]+$",
    "email common": r"^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}$",
    "email django local": r"(^[-!#$%&'*+/=?^_`{}|~0-9A-Z]+(\.[-!#$%&'*+/=?^_`{}|~0-9A-Z]+)*\Z)",
    "slug": r"^[a-z0-9]+(?:-[a-z0-9]+)*$",
    "slug django": r"^[-a-zA-Z0-9_]+\Z",
    "e164": r"^\+[1-9]\d{1,14}$",
    "us phone": r"^(\+\d{1,2}\s?)?\(?\d{3}\)?[\s.-]?\d{3}[\s.-]?\d{4}$",
    "de phone": r"^(\+49|0)[1-9][0-9 /-]{4,14}$",
    "url": (
        r"^https?://(www\.)?[-a-zA-Z0-9@:%._+~#=]{1,256}\.[a-zA-Z0-9()]{1,6}\b([-a-zA-Z0-9"
        r"()@:%_+.~#?&/=]*)$"
    ),
    "url simple": r"^https?://[^\s/$.?#].[^\s]*$",
    "domain": r"^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$",
    "hostname": (
        r"^(([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])\.)*([A-Za-z0-9]|[A-Za-z0-9]["
        r"A-Za-z0-9-]*[A-Za-z0-9])$"
    ),
    "date": r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$",
    "datetime": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$",
    "date us": r"^(0?[1-9]|1[012])[- /.](0?[1-9]|[12][0-9]|3[01])[- /.](19|20)\d\d$",
    "time": r"^([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?$",
    "uuid": r"^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
    "csv ints": r"^\d+(,\d+)*$",
    "csv words": r"^[^,]+(,[^,]+)*$",
    "csv quoted": r'^("([^"]|"")*"|[^,"]*)(,("([^"]|"")*"|[^,"]*))*$',
    "html tag2": r"^<[a-zA-Z][^<>]*>$",
    "html pair": r"^<([a-z][a-z0-9]*)\b[^>]*>(.*?)</\1>$",
    "hex color": r"^#(?:[0-9a-fA-F]{3}){1,2}$",
    "ipv4": r"^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$",
    "ipv4b": (
        r"^((25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)\.){3}"
        r"(25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)$"
    ),
    "ipv6": r"^([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}$",
    "mac": r"^([0-9A-Fa-f]{2}[:-]){5}([0-9A-Fa-f]{2})$",
    "password": r"^(?=.*[a-z])(?=.*[A-Z])(?=.*\d)(?=.*[@$!%*?&])[A-Za-z\d@$!%*?&]{8,}$",
    "username": r"^[a-zA-Z0-9_-]{3,16}$",
    "username2": r"^(?=.{3,20}$)(?![_.])(?!.*[_.]{2})[a-zA-Z0-9._]+(?<![_.])$",
    "zip": r"^\d{5}(?:[-\s]\d{4})?$",
    "uk post": r"^[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}$",
    "iban": r"^[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?$",
    "card": r"^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|3[47][0-9]{13})$",
    "money": r"^\$?\d{1,3}(,\d{3})*(\.\d{2})?$",
    "float": r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$",
    "semver": (
        r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA"
        r"-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+([0-9a-zA-Z-]+(?:\."
        r"[0-9a-zA-Z-]+)*))?$"
    ),
    "base64": r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
    "jwt": r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$",
    "name": r"^[\w'\-,.][^0-9_!¡?÷¿/\\+=@#$%&*(){}|~<>;:[\]]{2,}$",
    "person ok": r"^[^\W\d_]+(?:[ '-][^\W\d_]+)*$",
    "path": r"^(/[^/ ]+)+/?$",
    "filename": r"^[\w,\s-]+\.[A-Za-z]{3}$",
    "filename ext": r"([^\s]+(\.(jpg|png|gif|bmp))$)",
    "isbn": r"^(?:97[89]-?)?(?:\d-?){9}[\dX]$",
    "lat,lon": (
        r"^-?([1-8]?\d(\.\d+)?|90(\.0+)?),\s*"
        r"-?(180(\.0+)?|((1[0-7]\d)|([1-9]?\d))(\.\d+)?)$"
    ),
    "hashtag": r"^#\w+$",
    "hashtags": r"^(#\w+\s?)+$",
    "tags": r"^\w+(?:\s\w+)*$",
    "trim": r"^\s+|\s+$",
    "alnum space": r"^[a-zA-Z0-9 ]*$",
    "youtube": r"^https?://(?:www\.)?youtu(?:\.be/|be\.com/watch\?v=)([\w-]{11})",
    "mention": r"@[a-z0-9_]{1,15}\b",
    "cron": (
        r"^(\*|[0-5]?\d)( (\*|[01]?\d|2[0-3]))( (\*|[12]?\d|3[01]))( (\*|[1-9]|1[0-2]))( ("
        r"\*|[0-6]))$"
    ),
    "kv": r"^\w+=[^;]*(?:;\w+=[^;]*)*$",
    "license": r"^[A-Z]{1,3}-[A-Z]{1,2} \d{1,4}[EH]?$",
    "two words": r"^\S+ \S+$",
}
# From advisories and from lists of patterns that were found in the wild.
HANGING = [
    (
        r"^([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z0-9]+[.]{1}(([a-z]{2,3})|("
        r"[a-z]{2,3}[.]{1}[a-z]{2,3}))$"
    ),
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"^(\(?[0-9]{3}\)?\s*[-.]?\s*)+$",
    r"^(?:[a-z]+\s*)+:$",
    r"(.|\s)*?foo$",
    r"^(.|\s)+$",
    r"<([a-z]+)([^<]+)*(?:>(.*)<\/\1>|\s+\/>)",
    r"^[a-zA-Z]+(([\'\,\.\- ][a-zA-Z ])?[a-zA-Z]*)*$",
    r"^(([\w]+)+\.)+([\w]+)+$",
    r"^\"(\\.|[^\"]|\\\")*\"$",
    r"^(?:\d+|\d+\.\d*)+$",
    r"([a-z0-9]+)*@x$",
    r"^((?:\w+\W*)+)=$",
    r"^(\w+|\d+)+$",
    r"(?:\r\n|\n|\s)+$|^(?:\s|\n)+!$",
    r"^\s*(?:[\w-]+\s*,?\s*)+;$",
    r"^(?:.*\.)*com$",
    r"^(.*)*$",
    r"^(?i:(a)|(A))+$",
    r"^(?:a|(?i:A))*b$",
    r"^([\s\S]*?,)*end$",
    r"(?:(?:https?://)?[\w.]+/?)+\s!$",
    r"^([01]+)*2$",
    r"^(a|b|[ab])+$",
    r"^(?:\\d+|\d)*\d+x(\d+)*$",
    r"^(?:x*y?)*z$",
    r"^(?:(ab)*|a|b)*c$",
]


@pytest.mark.parametrize("name", REAL)
def test_a_pattern_that_people_write_is_taken(name: str) -> None:
    cost = cost_of(REAL[name])
    assert not cost.is_endless
    assert cost.length_max is None or cost.length_max >= LENGTH_ENOUGH


@pytest.mark.parametrize("pattern", HANGING)
def test_a_pattern_that_is_known_to_hang_is_refused(pattern: str) -> None:
    assert cost_of(pattern).is_endless
