"""Parts of a report: moments of an instance, chats, tests, and forms of events."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from pytest_hydrasmoke._journal.story import TOKENS

SOON = 0.05
"""Two times closer than this many seconds are the same moment."""


class Part(BaseModel):
    """A part of a report."""

    model_config = ConfigDict(
        frozen=True,
        # In the schema: what is written has every field.
        json_schema_serialization_defaults_required=True,
    )


class Moment(Part):
    """Something that happened to an instance."""

    at: float
    """Seconds since the instance's `began`."""


class SpanReport(Moment):
    """A phase, each time that it was gone through; seconds."""

    phase: str
    seconds: float


class ExchangeReport(Moment):
    """A request: answered with a status code, or failed with an error; seconds to the answer."""

    call: str
    method: str
    path: str
    attempt: int
    """From 1; each attempt is a request of its own."""
    seconds: float
    status: int | None
    error: str | None

    @property
    def is_bad(self) -> bool:
        """Whether it had no answer, or a refusal that is unusual for the router.

        A poll or a status of what does not exist, or exists no longer, is answered 404.
        """
        if self.status is None:
            return True
        asks = self.call in ("poll", "status", "delete")
        return self.status >= 400 and not (asks and self.status in (404, 409, 410))


class CountReport(Moment):
    """The LLM events of the instance's whole life, when their count had changed."""

    count: int
    providers: tuple[str, ...]


class StatusReport(Moment):
    """A status word, at the first of several equal readings."""

    word: str


class ToolCallReport(Part):
    """A tool that the agent called."""

    name: str
    id: str | None
    arguments: str | None
    """As JSON, up to 2,000 characters; None if they are not known."""
    result: str | None
    """What the tool returned: as JSON, or a text as it is; None if it is not reported."""
    at: float
    """Seconds since the turn's request."""
    position: int
    """How many characters of the reply came before it."""


class ThoughtReport(Part):
    """A piece of the model's reasoning, between two other things that it said or did."""

    text: str
    at: float
    """Seconds since the turn's request."""
    position: int
    """How many characters of the reply came before it."""


class TokensReport(Part):
    """Tokens that models read and wrote."""

    input_tokens: int
    output_tokens: int

    @property
    def total(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


class TurnReport(Moment):
    """A chat turn; times in seconds since the request."""

    message: str | None
    """None if replies are kept out of reports."""
    text: str | None
    """The reply, up to 20,000 characters; None if replies are kept out of reports."""
    events: int
    arrivals: tuple[float, ...]
    """When events arrived: all of them, or of a long stream an even selection."""
    seconds: float | None
    """Seconds until its last event; None if there was none."""
    first_text_after: float | None = None
    """Seconds to the first text; None if there was none."""
    max_gap: float = 0.0
    """Seconds of the longest silence between two events."""
    complete: bool
    """Whether a terminal event came, or a finish reason and then the end of the stream."""
    finish_reason: str | None = None
    """Why the model stopped, in the runtime's own word; None if it was not reported, or if replies
    are kept out of reports."""
    tool_calls: tuple[ToolCallReport, ...] = ()
    """The first 200, with up to 20,000 characters of arguments and results; none if replies are
    kept out of reports."""
    thoughts: tuple[ThoughtReport, ...] = ()
    """The model's reasoning, up to 20,000 characters; none if replies are kept out of reports."""
    usage: TokensReport | None = None
    """None if the runtime did not report its tokens."""
    models: tuple[str, ...] = ()
    """Those that answered, as its runtime names them; none if it names none."""
    notes: tuple[str, ...] = ()
    """What was unusual; none if replies are kept out of reports."""
    error: str | None
    test: str | None = None
    """The test that ran when the turn began, with set-up and teardown; None outside any test."""
    run: int | None = None
    """Which run of that test's body, from 1, under the marker `hydra_smoke_runs`; None without it,
    and in set-up and teardown."""


class FailureReport(Moment):
    """What went wrong, in a phase or in a test."""

    message: str
    phase: str | None
    test: str | None
    """The test that failed because of it; None for a deletion at the end of the run."""
    cured: bool = False
    """Whether that test passed when it ran again."""

    @property
    def headline(self) -> str:
        """The first line of what went wrong."""
        return self.message.strip().partition("\n")[0]


class EventReport(Part):
    """The form of a stream's event, without the words of the reply."""

    event: str
    data: str
    """`done` (`[DONE]`), `object` or `text`."""
    keys: tuple[str, ...]
    """The keys at the top of an object."""
    kind: str | None
    """An object's `type`, if that is a word."""


class CaseReport(Part):
    """What happened to a smoke test."""

    id: str
    """Its node id."""
    outcome: str
    """`passed`, `failed`, `error` (its set-up or teardown failed), `skipped`, `xfailed`, `xpassed`,
    or `interrupted` (it began, and has no outcome)."""
    seconds: float
    """Set-up, call and teardown; of all attempts if it ran again."""
    runs: int | None = None
    """How often its body ran with the marker `hydra_smoke_runs`; None without the marker."""
    passed: int | None = None
    """How many of these runs passed."""
    instances: tuple[str, ...] = ()
    """The instances that it used, by key, or by id if they have no key."""
    failure: str | None = None
    """What it failed of, in its own words; None if it did not, or crashed its worker."""
    not_run: str | None = None
    """Why it was skipped, where that is another test's failure: a sentence that names it."""


class BreachReport(Part):
    """A budget that was exceeded; seconds, or a number of tokens."""

    phase: str
    """A phase, or `first_text`, `gap` or `tokens`."""
    limit: float
    value: float
    instance: str
    """Id and key of the instance with the worst value; of tokens, the one that took most."""
    test: str | None = None
    """For `first_text` and `gap`, the test of the worst turn; None if it is not known."""

    @property
    def place(self) -> str:
        """The instance, and the test if it is known."""
        return self.instance if self.test is None else f"{self.instance}, in {self.test}"

    @property
    def words(self) -> str:
        """The value and the limit, in words."""
        if self.phase == TOKENS:
            return f"the run took {self.value:,.0f} tokens, the limit is {self.limit:,g}"
        # Below one second, tenths are too coarse.
        value = f"{self.value:.1f}" if self.value >= 1 else f"{self.value:.3f}"
        return f"{self.phase} took {value} s, the limit is {self.limit:g} s"
