"""By what a message shows that it is a report, a robot's answer, a challenge or a complaint. Pure.

One sign alone proves nothing: people forward bounces and write about them. `looks_returned` wants two.
"""

from __future__ import annotations

import re

from postroad.content.returned.parts import Parts
from postroad.content.returned.prose import part
from postroad.content.returned.wording import codes_in

_DAEMON = re.compile(
    r"mailer.?daemon|mail.?daemon|postmaster|mail[._ -]?deliver|mail (?:system|server)"
    r"|system administrator|ndr administrator"
    r"|mail administrator|delivery (?:sub)?system|mailadmin|internet mail|mail router|mmsc",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"undeliver|un-deliver|not (?:be )?(?:been )?(?:yet )?(?:be )?deliver"
    r"|deliver\w*[ -](?:\w+ )?(?:fail|status|error|problem|delay|notif|report|incomplete)"
    r"|fail\w*[ -](?:to )?(?:deliver|notice|mail)|returned? (?:mail|message|to sender|e-?mail)"
    r"|mail (?:system |delivery )?(?:error|fail)"
    r"|(?:could|can) ?not (?:be )?(?:send|sent|deliver)|error sending|non[- ]?d(?:el|istr)|\bndr\b"
    r"|delivery has been delayed|nondeliv"
    r"|message (?:delivery )?(?:delayed|failed|status)|warning\W.{0,40}(?:could not|delay|not sent)"
    r"|\bdelayed?\b.{0,20}mail|loop alert"
    r"|unzustellbar|nicht zugestellt|zustell|non remis|n'a pas|échec|no se (?:ha|pudo)|no entregad"
    r"|rebotad|mancat|consegna|não entreg|niet (?:bezorgd|afgeleverd)"
    r"|не доставлен|недоставлен|配信|配送|送信でき|エラー|届(?:け|き)|不達|退信|无法投递|反송|반송|undelivered",
    re.IGNORECASE,
)
_PHRASE = re.compile(
    r"(?:could|can|was|were|did|has|have|is|are)(?:n't| ?not) (?:be |been "
    r"|yet been )?(?:possible to )?(?:deliver|reach|sen[dt]|accept|transmit|process)"
    r"|(?:unable|unabled|failed|failure|trouble|impossible|not able|wasn't able|error) (?:to |in "
    r"|while |)(?:deliver|send|complet|transmit)"
    r"|deliver\w* (?:\w+ ){0,8}(?:has |have |had )?(?:been )?(?:fail|delay|not possible|impossible"
    r"|error)|undeliver|fatal error|permanent (?:error|failure)|rejected"
    r"|following (?:\w+ )?(?:address|recipient|destination|mail|user)|transcript of (?:the )?session"
    r"|returned (?:mail|message|to)|failure (?:notice|reason)"
    r"|mailbox (?:is )?full|user unknown|unknown user|no such|not exist|smtp (?:error|server)"
    r"|error message|had (?:permanent|delivery|transient)"
    r"|exceeds? |quota|not (?:listed|recognized|found|known|accepting)|duplicated message"
    r"|nicht (?:zugestellt|zustell)|pas (?:pu|été)|no (?:ha|se) (?:podido|pudo)|не (?:может|удалось)"
    r"|送信(?:でき|に失敗)|配(?:信|送|達)|届(?:け|き)ません|无法|未能|존재하지",
    re.IGNORECASE,
)
_LATE = re.compile(
    r"\bdelay(?:ed)?\b|\bwarning\b|still (?:trying|being)|not yet been|will be retried"
    r"|will continue to|keep trying|temporar(?:y|ily) fail|for past|verzögert|retard",
    re.IGNORECASE,
)
_LATE_ONLY = re.compile(
    r"warning message only|do not need to resend|(?:has been|is|was) delayed|will (?:be retried"
    r"|continue|keep|try)|(?:not|n't) yet been delivered|could not send (?:mail|message) for past",
    re.IGNORECASE,
)
_GAVE_UP = re.compile(
    r"giv(?:en|ing) up|failed permanently|permanent (?:error|failure)|fatal error|could not be delivered|undeliverable",
    re.IGNORECASE,
)
_NOT_EMPTY = re.compile(r"[^\s<>]")


def comes_from_daemon(parts: Parts) -> bool:
    """Sent by a mail system, or with the null reverse-path."""
    path = parts.header.get("return-path")
    null = path is not None and (not _NOT_EMPTY.search(path) or "mailer-daemon" in path.lower())
    return null or _DAEMON.search(parts.header.get("from", "")) is not None


def looks_returned(parts: Parts) -> bool:
    """Whether its prose is worth being searched for recipients."""
    header = parts.header
    if "x-failed-recipients" in header:
        return True
    if parts.type == "multipart/report" and "disposition-notification" not in header.get("content-type", ""):
        return True
    subject = _SUBJECT.search(header.get("subject", "")) is not None
    daemon = comes_from_daemon(parts)
    if subject and daemon:
        return True
    if _PHRASE.search(parts.prose[:4000]) is None:
        return False
    return daemon or (subject and _has_what_reports_have(parts))


def _has_what_reports_have(parts: Parts) -> bool:
    """The original, or the codes of a reply: people write about deliveries that failed, too."""
    return bool(parts.original) or any(codes_in(parts.prose)) or bool(part(parts.prose).original)


def is_late_only(parts: Parts, report: str) -> bool:
    """A warning that somebody goes on trying."""
    subject = parts.header.get("subject", "")
    if _LATE_ONLY.search(report) and not re.search(r"fail(?:ure|ed)\b", subject, re.IGNORECASE):
        return True
    return _LATE.search(subject) is not None and not _GAVE_UP.search(report)


# --- robots -----------------------------------------------------------------------------------------------------------

_ABSENT = re.compile(
    r"^(?:re: ?|aw: ?|fwd?: ?){0,3}[\[(]?(?:auto(?:matic|mated|matische|matisch|matisk|matique)?[ :_-]*"
    r"(?:re(?:ply|sponse|sponder|spuesta)|antwort|svar|antwoord)\b|auto(?:matic)?[:\])]"
    r"|automatically generated|autore(?:ply|spond)|out of (?:the )?office|ooo\b"
    r"|i am (?:away|out of (?:the )?office|on (?:vacation|holiday|leave))|away from (?:my|the) |on (?:vacation|leave)\b"
    r"|vacation (?:reply|notice|message|response|auto)"
    r"|abwesenheit|automatische antwort|réponse automatique|absence (?:du bureau|de |:)|respuesta automática"
    r"|fuera de (?:la )?oficina|risposta automatica|resposta automática|automatisch antwoord|afwezig|autosvar"
    r"|automatiskt svar|frånvaro|автоответ|автоматический ответ|自動(?:返信|応答)|不在|自动(?:回复|答复)|자동)",
    re.IGNORECASE,
)
_CHALLENGE = re.compile(
    r"challenge|verif(?:y|ication)\b.{0,40}(?:message|mail|sender|required|human)"
    r"|please (?:verify|confirm) (?:your (?:message|mail|e-?mail|identity)|that you)"
    r"|confirm(?:ation)? (?:required|request|your (?:message|mail|e-?mail))"
    r"|(?:message|mail|delivery) .{0,30}(?:requires|awaiting|needs)"
    r" (?:your )?(?:confirmation|verification|approval|authori[sz]ation)",
    re.IGNORECASE,
)
_CHALLENGE_BODY = re.compile(
    r"(?:click|follow|visit|open|reply)\b.{0,200}(?:confirm|verif|deliver|prove|authenticat|release"
    r"|human)|not (?:a )?(?:spam|robot)|whitelist|boxbe|spamarrest|spam arrest|tmda"
    r"|unverified senders?",
    re.IGNORECASE | re.DOTALL,
)


def is_auto_reply(parts: Parts) -> bool:
    """RFC 3834 §5, and what robots wrote before it and still do."""
    header = parts.header
    submitted = header.get("auto-submitted", "").lower().lstrip()
    if submitted.startswith("auto-replied"):
        return True
    if header.get("precedence", "").strip().lower() in ("auto_reply", "auto-reply"):
        return True
    if any(
        name in header
        for name in ("x-autoreply", "x-autorespond", "x-autoreply-from", "x-mail-autoreply", "x-vacation")
    ):
        return header.get("x-autoreply", "yes").strip().lower() != "no"
    robot = header.get("x-auto-response-suppress", "")
    return _ABSENT.match(header.get("subject", "").strip()) is not None or (
        submitted.startswith("auto-generated") and "oof" in robot.lower() and "x-ms-exchange-inbox-rules-loop" in header
    )


def is_challenge(parts: Parts) -> bool:
    """A filter that holds the message until its sender has shown to be a person."""
    subject, body = parts.header.get("subject", ""), parts.prose[:4000]
    return _CHALLENGE.search(subject) is not None and _CHALLENGE_BODY.search(body) is not None


_COMPLAINT = re.compile(
    r"^complaint about message from\b|^(?:email )?(?:abuse|feedback) (?:report|complaint)", re.IGNORECASE
)


def is_complaint(parts: Parts) -> bool:
    """A complaint with the message in it but without the machine-readable part, as some feedback loops send it."""
    return bool(parts.original) and _COMPLAINT.search(parts.header.get("subject", "").strip()) is not None
