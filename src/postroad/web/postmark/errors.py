"""What Postmark's clients are told when something is wrong: HTTP status, ErrorCode and text, in one table.

Clients branch on the code and read addresses out of the text, so both are part of the interface. Where the numbers of
ErrorCodes and HTTP statuses agree it means nothing.
"""

from __future__ import annotations

from typing import Final

INACTIVE = "Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression."

INVALID_EMAIL = 300
NOT_FOUND = 404
BUSY = 100

_TABLE: Final[dict[int, tuple[int, str]]] = {  # ErrorCode: HTTP status, text
    10: (401, "{}"),
    BUSY: (503, "{}"),
    INVALID_EMAIL: (422, "{}"),
    400: (
        422,
        "The 'From' address you supplied ({}) is not a Sender Signature on your account. Please add and confirm this"
        " address in order to be able to use it in the 'From' field of your messages.",
    ),
    402: (422, "Invalid JSON: {}"),
    403: (422, "Invalid request field(s): {}."),
    NOT_FOUND: (404, "{}"),
    405: (405, "{}"),
    406: (
        422,
        "You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: {}. "
        + INACTIVE,
    ),
    409: (415, "{}"),
    410: (422, "A batch takes at most {} messages."),
    411: (422, "The attachment '{}' is of a type that is not sent: {}."),
    1226: (422, "The message stream for the provided 'ID' was not found."),
    1235: (422, "The stream provided: '{}' does not exist on this server."),
    1236: (422, "The stream provided: '{}' cannot be sent on: {}."),
    1404: (422, "'{}' is not a SuppressionReason; there are: {}."),
    1405: (422, "'{}' is not an Origin; there are: {}."),
    1409: (422, "The body must be an object with 'Suppressions', a list of objects with 'EmailAddress'."),
    1410: (422, "One request takes at most {} suppressions."),
    1411: (422, "Each of 'Suppressions' must be an object with 'EmailAddress'."),
}

NO_TOKEN = "The request does not contain a valid Server token: send it in the header 'X-Postmark-Server-Token'."  # noqa: S105
WRONG_TOKEN = (
    "The Server Token you provided in the X-Postmark-Server-Token request header was invalid. Please verify that you"  # noqa: S105
    " are using a valid token."
)


class ApiError(Exception):
    """The request, or one message of a batch, is refused."""

    def __init__(self, code: int, status: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.status = status
        self.text = text


def error(code: int, *words: object) -> ApiError:
    """The row of the table, with the words that its text leaves open."""
    status, text = _TABLE[code]
    return ApiError(code, status, text.format(*words))


def invalid(text: str) -> ApiError:
    """ErrorCode 300, of which most things are that can be wrong with a message."""
    return error(INVALID_EMAIL, text)


def wrong_fields(*names: str) -> ApiError:
    return error(403, ", ".join(f"'{name}'" for name in names))
