"""Codes of all diagnostics and run-time faults; a code is never reused.

FL0xx lexical, FL1xx syntax, FL2xx names and guards, FL3xx routes and handlers, FL4xx entities and
validation, FL5xx run time, FL9xx project and configuration. Each has a long page,
`lang/explain/<code>.md`.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

CATALOG: Final[dict[str, str]] = {
    # --- lexical
    "FL001": "unexpected character",
    "FL002": "text without a closing quote",
    "FL003": "template without a closing backtick",
    "FL004": "unknown escape in a text",
    "FL005": "malformed number",
    "FL006": "number out of range",
    "FL007": "comment without an end",
    "FL008": "hidden character that changes the direction of text",
    "FL009": "nested too deeply",
    "FL010": "too much source in one file",
    "FL011": "interpolation without a closing brace",
    "FL012": "unknown operator",
    # --- syntax
    "FL101": "unexpected token",
    "FL102": "missing opening brace",
    "FL103": "bracket never closed",
    "FL104": "closing bracket without an opening one",
    "FL105": "missing separator",
    "FL106": "cannot assign to this",
    "FL107": "assignment in a condition",
    "FL108": "construct in the wrong place",
    "FL109": "unknown route method",
    "FL110": "unknown WebSocket event",
    "FL111": "declaration inside a block",
    "FL112": "reserved word used as a name",
    "FL113": "malformed pattern",
    "FL114": "malformed parameters",
    "FL115": "mixed list and map items",
    "FL116": "expression expected",
    "FL117": "page markup in a server file",
    "FL118": "amount of money",
    "FL119": "written as in another language",
    # --- names and guards
    "FL201": "unknown guard",
    "FL202": "unknown name",
    "FL203": "unknown function",
    "FL204": "unknown entity",
    "FL205": "unknown field",
    "FL206": "wrong number of arguments",
    "FL207": "unknown named argument",
    "FL208": "break or continue outside a loop",
    "FL209": "unknown loop label",
    "FL210": "assignment to a file constant",
    "FL211": "duplicate function",
    "FL212": "duplicate guard",
    "FL213": "unused variable",
    "FL214": "unreachable code",
    "FL215": "unknown enum variant",
    "FL216": "name declared twice",
    "FL217": "field hides a name",
    "FL218": "value of the wrong type",
    "FL219": "comparison with one result",
    "FL220": "query that reads every record",
    "FL221": "password check without a login",
    "FL222": "value that is not used",
    "FL223": "status that is a value",
    # --- routes and handlers
    "FL301": "two ws blocks in one file",
    "FL302": "two routes for one method",
    "FL303": "two files for one route",
    "FL304": "two handlers for one event",
    "FL305": "two validate blocks in one route",
    "FL306": "route path differs from the file path",
    "FL307": "two middleware blocks in one file",
    "FL310": "context name not available here",
    "FL311": "ws function outside ws",
    "FL312": "function of tests outside a test",
    # --- entities and validation
    "FL401": "unknown type",
    "FL402": "unknown modifier",
    "FL403": "duplicate field",
    "FL404": "field name reserved by entities",
    "FL405": "duplicate entity",
    "FL406": "bad argument of a modifier",
    "FL407": "enum variant with a payload or value",
    "FL408": "pattern that can take endless time",
    # --- run time
    "FL500": "run-time failure",
    "FL501": "operator used on the wrong types",
    "FL502": "member of none",
    "FL503": "division by zero",
    "FL504": "wrong argument to a built-in function",
    "FL505": "unknown method",
    "FL506": "bad index",
    "FL507": "value is read-only",
    "FL508": "result or value beyond a limit",
    "FL509": "call of what is not a function, or with the wrong arguments",
    "FL510": "save of something that is not an entity",
    "FL511": "unknown field at run time",
    "FL512": "query failed",
    "FL513": "value does not fit the declared type",
    "FL519": "writes cannot be stored now",
    "FL520": "too many rooms",
    "FL521": "no current connection",
    "FL530": "validation failed",
    "FL531": "value already taken",
    "FL532": "entity changed by someone else",
    "FL540": "file outside the application root",
    "FL541": "file cannot be read or written",
    "FL550": "handler took too long",
    "FL551": "calls nested too deeply",
    "FL552": "handler needs too much memory",
    "FL553": "too many waiting handlers",
    "FL560": "response that cannot be sent",
    "FL561": "cookie that cannot be set",
    "FL562": "value that a session cannot hold",
    "FL563": "next called twice",
    "FL564": "request that cannot be read",
    "FL565": "handler that gave up",
    "FL570": "expectation of a test not met",
    "FL571": "what a test waited for did not come",
    # --- project and configuration
    "FL901": "source file too large",
    "FL902": "source file is not UTF-8",
    "FL903": "no app folder",
    "FL904": "unknown setting",
    "FL905": "bad value of a setting",
    "FL906": "flin.config found",
    "FL907": "file or folder cannot be read",
    "FL908": "link leads outside the project",
    "FL909": "file name that is no path",
}


def explanation(code: str) -> str:
    """The long page of a code, as Markdown.

    Raises:
        KeyError: No diagnostic has this code.
    """
    if code not in CATALOG:
        raise KeyError(code)
    page = files("flinfast.lang") / "explain" / f"{code}.md"
    return page.read_text(encoding="utf-8")
