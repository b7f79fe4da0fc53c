"""What an answer proves: pure rules over the forms of answers.

A proxy between here and the router may answer in its place: an ingress that has lost its backend
answers 404, too. So "not found" counts only in the router's own form, as learned before anything
was provisioned, and with a proof that the router itself answers at that moment. The form alone is
no proof: any FastAPI application answers an unknown path in the same one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self, cast

UNDECIDED = frozenset({408, 409, 418, 425, 429})
"""Refusals of a provision that prove nothing: transient, of a key in progress, of a gateway."""
_MOST_FIELDS = 20
_MOST_BYTES = 4_096
"""Most fields and bytes of an error's body that enter its form."""


@dataclass(frozen=True, slots=True)
class Form:
    """The shape of an error answer, without any of its words."""

    code: int
    kind: str = ""
    """Its media type."""
    fields: tuple[tuple[str, str], ...] = ()
    """The fields of a JSON object, each with its type in Python; empty for anything else."""
    digest: str = ""
    """Digest of the body without what was requested, nor space: equal for equal words."""

    def looks_like(self, other: Form) -> bool:
        """Return whether both forms are the same, apart from their words."""
        return (self.code, self.kind, self.fields) == (other.code, other.kind, other.fields)

    @property
    def envelope(self) -> tuple[str, tuple[str, ...]]:
        """What the router's errors of all codes have in common."""
        return self.kind, tuple(name for name, _ in self.fields)


TAKEN = Form(200)
"""The form of a successful answer where an error was expected."""


def form_of(code: int, content_type: str, body: bytes, requested: str) -> Form:
    """Return an error answer's form; `requested` is the id, key or path that it may repeat."""
    kind = content_type.partition(";")[0].strip().lower()
    text = body[:_MOST_BYTES].decode("utf-8", "replace")
    words = text.replace(requested, "") if requested else text
    digest = hashlib.sha256("".join(words.split()).encode()).hexdigest()[:16]
    named = sorted((object_in(body) or {}).items())[:_MOST_FIELDS]
    fields = tuple((name[:60], type(value).__name__) for name, value in named)
    return Form(code, kind[:60], fields, digest)


def object_in(body: bytes) -> Mapping[str, object] | None:
    """Return a body that is a JSON object; None for any other."""
    try:
        parsed: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, object]", parsed) if isinstance(parsed, dict) else None


@dataclass(frozen=True, slots=True)
class Forms:
    """The router's own forms, learned before anything is provisioned."""

    unknown: Form
    """Status of an unknown UUID."""
    malformed: Form
    """Status of a word that is not a UUID."""
    unknown_key: Form
    """Poll of an unknown key; `TAKEN` where that is a successful answer."""
    missing: Form
    """A path that does not exist."""
    stranger: Form = TAKEN
    """Poll of an unknown key without a token; sent only where a key is answered as that path is."""

    @property
    def can_prove(self) -> bool:
        """Whether the router can be distinguished from any other server at its URL."""
        if self.unknown_key == TAKEN:
            return True
        # The router turns strangers away. Where they are told that there is no such path, the path
        # of keys is another server's, and the malformed id proves that of ids alone.
        misled = self.missing.digest == self.unknown_key.digest == self.stranger.digest
        return not misled and self.is_routers(self.malformed)

    def says_unknown(self, form: Form, *, key: bool = False) -> bool:
        """Return whether it is the router's own "not found", as far as its form can show.

        Its own is what the same call has answered: status, or poll for a `key`. Plain text or a
        page never is: the router speaks JSON. Nor is the answer for a wrong path, if the call
        answers in other words.
        """
        own = self.unknown_key if key else self.unknown
        if form.code != 404 or not form.fields or not form.looks_like(own):
            return False
        return form.digest != self.missing.digest or form.digest == own.digest

    def has_own_words(self, form: Form) -> bool:
        """Return whether it is the answer for an unknown id word for word, and no wrong path's."""
        return form.digest == self.unknown.digest != self.missing.digest

    def is_routers(self, malformed: Form) -> bool:
        """Return whether the answer to a word that is not a UUID proves that the router gave it."""
        if not malformed.looks_like(self.malformed):
            return False
        if not malformed.looks_like(self.missing):
            return True
        # Only the words can distinguish them, so they must be equal, and distinguish keys as well.
        own = malformed.digest == self.malformed.digest
        return own and self.missing.digest not in (malformed.digest, self.unknown_key.digest)

    def refuses(self, form: Form) -> bool:
        """Return whether an answer to a provision is the router's own refusal.

        That is no proof: a router may carry out what it refuses.
        """
        if not 400 <= form.code < 500 or form.code in UNDECIDED or not form.fields:
            return False
        return any(
            form.envelope == own.envelope
            for own in (self.unknown, self.malformed, self.unknown_key)
        )

    def to_plain(self) -> dict[str, Any]:
        """Return plain types, for a worker of the same run."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Mapping[str, Any]]) -> Self:
        """Restore the result of `to_plain`; tuples may have become lists."""
        forms: dict[str, Form] = {}
        for name, form in plain.items():
            fields = tuple((field, kind) for field, kind in form["fields"])
            forms[name] = Form(form["code"], form["kind"], fields, form["digest"])
        return cls(**forms)
