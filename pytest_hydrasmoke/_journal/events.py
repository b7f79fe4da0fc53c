"""What can happen in a run. An event says what; its entry says when, and to which instance.

Times are seconds. An entry's `at` is a point of the IO's clock: when it happened, or began. Events
are plain and small, since thousands of them are kept and written; they are named tuples, which take
a tenth of a dataclass's time to define.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .chat import Counted, Said, Turn, TurnBegan, TurnOver
from .states import State

MOST_WORD = 200
"""How many characters are kept of a word of the router's: a status, a name."""
MOST_PROVIDERS = 20
"""How many names of providers are kept of one count."""


# Of a process


class Opened(NamedTuple):
    """A process takes part: the first line of its file."""

    process: str
    run_id: str
    pid: int
    wall: float
    """How far the wall clock (seconds since the epoch) is ahead of the entries' clock."""


class Selected(NamedTuple):
    """The smoke tests that the process is to run, by their ids."""

    tests: Sequence[str]


class CutShort(NamedTuple):
    """An interrupt ended a test that smoke tests, or that has used an instance."""

    test: str


class FailedTest(NamedTuple):
    """A test failed, or failed first and is run again."""

    test: str
    message: Said
    """It may quote a reply."""
    brief: str
    """The same without such words."""
    causes: Sequence[int] = ()
    """The numbers of the failures of this process behind it."""
    used: Sequence[str] = ()
    """The instances that the test used."""
    again: bool = False
    """Whether a plugin runs it again."""


class NotRun(NamedTuple):
    """A smoke test was skipped since what it needs was shown not to work."""

    test: str
    why: str
    """A sentence that names the test which has shown it."""


class Cured(NamedTuple):
    """A test passed that a plugin has run again."""

    test: str


class RunsCounted(NamedTuple):
    """How often the body of a test has begun, and how often it has passed; before each run, too."""

    test: str
    began: int
    passed: int
    most: int = 0
    """How often it is run at most."""


class CleanedUp(NamedTuple):
    """The run has come to the end of its clean-up: no row is to come."""


# Of an instance: its life


class Claimed(NamedTuple):
    """It has a key, or the run is attached to it; before any request of it may leave."""

    spec: Mapping[str, Any] | None
    attached: bool = False
    url: str = ""
    """The router's."""
    fake: bool = False
    """Whether the bundled fake provisions it, which ends with its run."""
    share: str | None = None
    """The name of its share; `null` if it is private to one process."""
    run: str | None = None
    """The run whose claim it is: a test may provision under a key of any form."""
    other_token: bool = False
    """Whether it is requested with a token that is not the run's."""
    key_404: bool | None = None
    """Whether a poll of an unknown key was 404 when the run began; None if nobody knows."""
    bare: bool | None = None
    """Whether what is unknown was answered word for word as a wrong path is."""


class Became(NamedTuple):
    """Its state, and the id that is known by then."""

    state: State
    id: str | None = None
    seconds: float = 0.0
    """Since its request."""


class Vanished(NamedTuple):
    """It was seen alive, and the run's first DELETE found nothing."""

    id: str


class Alive(NamedTuple):
    """It was seen alive: what was accepted before to delete it has not done so."""


class Prepared(NamedTuple):
    """The hook for an instance that is ready was called for it: no process calls it again."""


class Refuted(NamedTuple):
    """A test has shown that something does not work: no other test of the run tries it again."""

    what: str
    """A call, or the boot of a shared instance, by the name of its lock."""
    test: str
    """The first one that fails of it; empty until there is one."""
    why: str | None
    """A sentence that names the test; null: it works after all, as that test has shown."""


class Learned(NamedTuple):
    """What a sweep has learned of a key, while the run's ledger has so many bytes."""

    state: State
    ids: Sequence[str]
    size: int
    boots: bool = False
    """Whether its boot was seen to go on."""


class Used(NamedTuple):
    """A test uses it."""

    test: str
    teardown: bool = False
    """Whether that is the test's teardown, in which fixtures of other tests end, too."""


class Status(NamedTuple):
    """The router's word for its status, where that has changed."""

    word: str


class Hosted(NamedTuple):
    """The name of its host, as the router tells it."""

    hostname: str


class Leaked(NamedTuple):
    """Its deletion is not confirmed; None takes that back."""

    why: str | None


class Conflict(NamedTuple):
    """Something that makes the run red, and is neither a leak nor a test's failure."""

    why: str


class Blamed(NamedTuple):
    """A boot or a `with` block that raised: `keep = "on-failure"` keeps it."""


class Noted(NamedTuple):
    """A note on it."""

    text: Said
    """It may quote an agent."""
    brief: str = ""
    """The same without such words, if it has any."""


# Of an instance: phases, requests, failures


class Doing(NamedTuple):
    """A phase is under way; None: none is any more."""

    phase: str | None
    deadline: float | None = None
    tool: Said = None
    """The tool that the agent is calling, if it tells."""


class Took(NamedTuple):
    """A phase that it has gone through; the entry's `at` is when it began."""

    phase: str
    seconds: float


class Interrupted(NamedTuple):
    """The phase of its boot that an interrupt ended early."""

    phase: str


class Attempt(NamedTuple):
    """A request: answered with a status code, or failed with an error; seconds to the answer."""

    call: str
    method: str
    path: str
    number: int
    seconds: float
    status: int | None
    error: str | None = None


class Skipped(NamedTuple):
    """So many requests of a call, in place of a line for each."""

    call: str
    times: int


class Failed(NamedTuple):
    """What went wrong, in a phase or in a turn."""

    number: int
    """The failure's number in its process; the error has it, too."""
    message: Said
    """It may quote a reply."""
    brief: str
    """The same without words of a chat."""
    phase: str | None = None


class Answered(NamedTuple):
    """The router has answered a test's own client, for the first time."""


class Heard(NamedTuple):
    """The first event of a form in a stream: its name, and the kind of its data."""

    event: str
    data: str
    keys: Sequence[str] = ()
    kind: str | None = None


class Drifted(NamedTuple):
    """What the contract does not know, in an answer."""

    text: str


Fact = Became | Vanished | Alive | Prepared
"""What a ledger has of an instance after its claim."""
OfLedger = Claimed | Fact | Refuted | CleanedUp | Learned
"""What a ledger consists of, or a sweep's file beside it: what others than the writer must know."""
OfProcess = Opened | Selected | CutShort | FailedTest | NotRun | Cured | RunsCounted
OfInstance = Used | Status | Hosted | Leaked | Conflict | Blamed | Noted | Interrupted
OfCalls = Doing | Took | Attempt | Skipped | Failed | Answered | Heard | Drifted
OfChats = TurnBegan | TurnOver | Turn | Counted
Event = OfProcess | OfLedger | OfInstance | OfCalls | OfChats


class Entry(NamedTuple):
    """A line of a journal, or of a ledger."""

    at: float
    of: str | None
    """The instance: its key, or the id of one without; None for what concerns no instance."""
    event: Event
