"""What an answer proves that says "there is none": pure rules over the forms of answers.

A proxy between here and the router may answer in its place, and a router may be deployed in the
middle of a run. So an answer counts only beside controls: answers, of the same moment, to requests
for what does not exist. An id is unknown where it is answered as random ids are, and not as a path
that no router has. The form alone is no proof: any FastAPI application answers an unknown path in
the same one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

UNDECIDED = frozenset({408, 409, 418, 425, 429})
"""Refusals of a provision that prove nothing: transient, of a key in progress, of a gateway."""
NOT_FOUND = frozenset({404, 410})
"""How a router may say that there is none."""
INVALID = frozenset({400, 422})
"""How a router rejects what can't be an id."""
_MOST_FIELDS = 20
_MOST_BYTES = 4_096
"""Most fields and bytes of an error's body that enter its form."""


@dataclass(frozen=True, slots=True)
class Form:
    """The shape of an error answer, without any of its words."""

    code: int
    kind: str = ""
    """Its media type."""
    fields: tuple[str, ...] = ()
    """The names of a JSON object's fields; empty for anything else."""
    digest: str = ""
    """Digest of the body without what was requested, nor space: equal for equal words."""

    @property
    def envelope(self) -> tuple[str, tuple[str, ...]]:
        """What the router's errors of all codes have in common."""
        return self.kind, self.fields

    @property
    def shape(self) -> tuple[int, str, tuple[str, ...]]:
        """All but its words."""
        return self.code, self.kind, self.fields

    def is_worded_as(self, others: Iterable[Form]) -> bool:
        """Return whether one of the others has the same words, under the same code."""
        return any((self.code, self.digest) == (it.code, it.digest) for it in others)

    def is_shaped_as(self, others: Iterable[Form]) -> bool:
        """Return whether it is, apart from its words, as one of the others.

        410 is said of what was there before, so no answer for what never was has that code.
        """
        codes = {self.code, 404} if self.code == 410 else {self.code}
        return any(it.code in codes and it.envelope == self.envelope for it in others)


TAKEN = Form(200)
"""The form of a successful answer where an error was expected."""


def form_of(code: int, content_type: str, body: bytes, requested: str) -> Form:
    """Return an error answer's form; `requested` is the id, key or path that it may repeat."""
    kind = content_type.partition(";")[0].strip().lower()
    text = body[:_MOST_BYTES].decode("utf-8", "replace")
    words = text.replace(requested, "") if requested else text
    digest = hashlib.sha256("".join(words.split()).encode()).hexdigest()[:16]
    named = sorted(object_in(body) or {})[:_MOST_FIELDS]
    return Form(code, kind[:60], tuple(name[:60] for name in named), digest)


def object_in(body: bytes) -> Mapping[str, object] | None:
    """Return a body that is a JSON object; None for any other."""
    try:
        parsed: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, object]", parsed) if isinstance(parsed, dict) else None


class Absent(NamedTuple):
    """How the router answered, when the run began, for what does not exist: all that is kept."""

    key_404: bool = False
    """Whether a poll of an unknown key was 404; a later 404 counts only then."""
    bare: bool = False
    """Whether an id or a key that is unknown was answered word for word as a wrong path is."""


def says_unknown(form: Form, own: Iterable[Form], missing: Iterable[Form], absent: Absent) -> bool:
    """Return whether an answer says that there is no such id, or key, as far as its form shows.

    `own` are the answers for random ones of the same moment, and `missing` those for wrong paths.
    Plain text or a page never says so: the router speaks JSON.
    """
    own, missing = [*own], [*missing]
    if not form.fields:
        return False
    if absent.bare and form.is_worded_as(own):
        return True
    by_shape = form.is_shaped_as(own) and all(form.shape != it.shape for it in missing)
    return by_shape or (form.is_worded_as(own) and not form.is_worded_as(missing))


def proves_router(malformed: Form, missing: Iterable[Form]) -> bool:
    """Return whether the answer to a word that can't be an id proves that the router gave it."""
    is_rejected = malformed.code in INVALID and bool(malformed.fields)
    return is_rejected and all(malformed.shape != it.shape for it in missing)


def may_be_refusal(form: Form) -> bool:
    """Return whether an answer to a provision may be the router's own refusal.

    It is if the router rejects a malformed id in the same envelope. That is no proof: a router may
    carry out what it refuses.
    """
    return 400 <= form.code < 500 and form.code not in UNDECIDED and bool(form.fields)
