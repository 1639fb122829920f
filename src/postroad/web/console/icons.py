"""Small pictures drawn with lines, 24 by 24, in the colour of the words beside them."""

from __future__ import annotations

from markupsafe import Markup

_LINES = {
    "overview": '<path d="M3 13h4l3-8 4 14 3-6h4"/>',
    "messages": '<rect x="3" y="5" width="18" height="14" rx="2.5"/><path d="m3.5 7.5 8.5 6 8.5-6"/>',
    "queue": '<path d="m12 3 9 5-9 5-9-5z"/><path d="m3 12.5 9 5 9-5"/><path d="m3 17 9 5 9-5"/>',
    "domains": '<circle cx="12" cy="12" r="9"/><path d="M3 12h18M12 3c5 5.4 5 12.6 0 18M12 3c-5 5.4-5 12.6 0 18"/>',
    "accounts": '<circle cx="12" cy="8" r="4"/><path d="M4.5 20.5c1-4 4-6 7.5-6s6.5 2 7.5 6"/>',
    "aliases": '<path d="M4 12h5c4 0 3-6 8-6h3M9 12c4 0 3 6 8 6h3"/><path d="m17.5 3 3 3-3 3M17.5 15l3 3-3 3"/>',
    "servers": '<rect x="3" y="4" width="18" height="7" rx="2"/><rect x="3" y="13" width="18" height="7" rx="2"/>'
    '<path d="M7 7.5h.01M7 16.5h.01M12 7.5h5M12 16.5h5"/>',
    "keys": '<circle cx="8" cy="15" r="4.5"/><path d="m11.5 12 8.5-8.5M16.5 7l3 3"/>',
    "senders": '<path d="M21 3 3 10.5l7 3 3 7z"/><path d="M10 13.5 15 8.5"/>',
    "admins": '<path d="M12 3 4.5 6v5.5c0 4.5 3 8 7.5 9.5 4.5-1.5 7.5-5 7.5-9.5V6z"/><path d="m9 12 2.2 2.2L15.5 10"/>',
    "audit": '<path d="M6 3h9l4 4v14H6z"/><path d="M14.5 3v4.5H19M9.5 12h6M9.5 16h6"/>',
    "search": '<circle cx="11" cy="11" r="6.5"/><path d="m16 16 5 5"/>',
    "check": '<path d="m5 12.5 4.5 4.5L19 7.5"/>',
    "cross": '<path d="m6 6 12 12M18 6 6 18"/>',
    "clock": '<circle cx="12" cy="12" r="9"/><path d="M12 7v5.5l3.5 2"/>',
    "pause": '<path d="M8.5 5.5v13M15.5 5.5v13"/>',
    "play": '<path d="m7.5 5 11 7-11 7z"/>',
    "retry": '<path d="M20 11a8 8 0 1 0-1 5.5"/><path d="M20.5 5v6h-6"/>',
    "hourglass": '<path d="M6 3h12M6 21h12M7.5 3c0 5 4.5 6 4.5 9s-4.5 4-4.5 9M16.5 3c0 5-4.5 6-4.5 9s4.5 4 4.5 9"/>',
    "ring": '<circle cx="12" cy="12" r="7"/>',
    "minus": '<path d="M5.5 12h13"/>',
    "plus": '<path d="M12 5v14M5 12h14"/>',
    "warning": '<path d="M12 3.5 2.5 20h19z"/><path d="M12 10v4.5M12 17.3h.01"/>',
    "info": '<circle cx="12" cy="12" r="9"/><path d="M12 11v5.5M12 7.7h.01"/>',
    "question": '<circle cx="12" cy="12" r="9"/>'
    '<path d="M9.3 9.5c.3-3.3 5.4-3.2 5.4 0 0 2.2-2.7 2.2-2.7 4.5M12 17h.01"/>',
    "copy": '<rect x="8.5" y="8.5" width="12" height="12" rx="2"/>'
    '<path d="M15.5 8.5v-3a2 2 0 0 0-2-2h-8a2 2 0 0 0-2 2v8a2 2 0 0 0 2 2h3"/>',
    "trash": '<path d="M4 6.5h16M9 6.5V4h6v2.5M6 6.5 7 21h10l1-14.5M10 11v6M14 11v6"/>',
    "edit": '<path d="m4 20 1-4.5L16 4.5l3.5 3.5-11 11z"/><path d="m13.5 7 3.5 3.5"/>',
    "menu": '<path d="M4 7h16M4 12h16M4 17h16"/>',
    "more": '<path d="M5 12h.01M12 12h.01M19 12h.01"/>',
    "sun": '<circle cx="12" cy="12" r="4"/>'
    '<path d="M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4'
    'M6.7 17.3l-1.4 1.4"/>',
    "moon": '<path d="M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z"/>',
    "screen": '<rect x="3" y="4.5" width="18" height="12" rx="2"/><path d="M8 20.5h8M12 16.5v4"/>',
    "leave": '<path d="M14 4h-8v16h8M10.5 12H21M17.5 8.5 21 12l-3.5 3.5"/>',
    "lock": '<rect x="5" y="11" width="14" height="9.5" rx="2"/><path d="M8 11V8a4 4 0 0 1 8 0v3"/>',
    "passkey": '<circle cx="9.5" cy="8" r="3.7"/><path d="M3 20c.6-4 3.3-6 6.5-6 1.3 0 2.5.3 3.5 1"/>'
    '<circle cx="17.5" cy="14" r="2.7"/><path d="M17.5 16.7v5l1.8-1.3"/>',
    "phone": '<rect x="7" y="2.5" width="10" height="19" rx="2.5"/><path d="M11 18.5h2"/>',
    "device": '<rect x="4" y="5" width="16" height="10.5" rx="1.5"/><path d="M2.5 19.5h19"/>',
    "disk": '<ellipse cx="12" cy="6" rx="8" ry="3"/>'
    '<path d="M4 6v12c0 1.7 3.6 3 8 3s8-1.3 8-3V6M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3"/>',
    "certificate": '<circle cx="12" cy="9" r="6"/><path d="m8.5 14-1.5 7.5 5-2.5 5 2.5-1.5-7.5"/>',
    "back": '<path d="M20 12H4.5M11 5.5 4.5 12l6.5 6.5"/>',
    "next": '<path d="M4 12h15.5M13 5.5l6.5 6.5-6.5 6.5"/>',
    "open": '<path d="m9 5.5 6.5 6.5L9 18.5"/>',
    "down": '<path d="M5.5 9l6.5 6.5L18.5 9"/>',
    "external": '<path d="M10 5H5v14h14v-5M14 4h6v6M20 4l-9.5 9.5"/>',
    "download": '<path d="M12 3.5V16M6.5 10.5 12 16l5.5-5.5M4 20.5h16"/>',
    "in": '<path d="M20 4 7.5 16.5M7 8.5v8.5h8.5M4 21h16"/>',
    "out": '<path d="M4 17 16.5 4.5M8 4h9v9M4 21h16"/>',
    "link": '<path d="m9.5 14.5 5-5M8 11l-3 3a3.5 3.5 0 0 0 5 5l3-3M16 13l3-3a3.5 3.5 0 0 0-5-5l-3 3"/>',
    "filter": '<path d="M3.5 5h17l-6.5 8v6.5l-4-2V13z"/>',
}
NAMES = frozenset(_LINES)


def icon(name: str, label: str = "") -> Markup:
    """The picture; with `label` it speaks to screen readers, without it is decoration."""
    voice = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    return Markup('<svg class="icon" viewBox="0 0 24 24" {}>{}</svg>').format(voice, Markup(_LINES[name]))  # noqa: S704
