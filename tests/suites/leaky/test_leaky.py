"""Tests that fail in every way, each with the token in its hands.

Each is careless in another manner: what it prints, logs, raises, compares or hands on has the
token in it, whole or in part.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
import os
import pprint
import sys
import warnings
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import pytest

from pytest_hydrasmoke import (
    HydraSmokeConfig,
    RouterError,
    SmokeClient,
    SmokeInstance,
    VirtualClock,
)

logger = logging.getLogger("careless")
needs_subtests = pytest.mark.skipif(not hasattr(pytest, "Subtests"), reason="pytest has none")


@pytest.fixture
def token(smoke_config: HydraSmokeConfig) -> str:
    assert smoke_config.token is not None
    return smoke_config.token.reveal()


# Before, in and after a test


@pytest.fixture
def set_up(token: str) -> None:
    print("set-up", token)
    raise RuntimeError(f"set-up with {token}")


@pytest.fixture
def torn_down(token: str) -> Iterator[None]:
    yield
    sys.stderr.write(f"teardown {token}\n")
    raise RuntimeError(f"teardown with {token}")


def test_set_up(set_up: None) -> None: ...


def test_teardown(torn_down: None) -> None: ...


def test_both(torn_down: None, token: str) -> None:
    raise ValueError(token)


def test_unknown_fixture(token: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(f"no_{token}")


# What the client and the router say


def test_refused(token: str) -> None:
    with SmokeClient(os.environ["LEAKY_ROUTER"], token=token) as client:
        client.status("5e0c1c4a-9f0b-4a55-8d3e-0d9a4f6b7c21")


def test_refused_and_raised_again(token: str) -> None:
    try:
        test_refused(token)
    except RouterError as error:
        raise RuntimeError(error.detail) from error


def test_unreachable(token: str) -> None:
    with SmokeClient("http://127.0.0.1:9", token=token, clock=VirtualClock()) as client:
        client.delete("5e0c1c4a-9f0b-4a55-8d3e-0d9a4f6b7c21")


def test_bad_token(token: str) -> None:
    SmokeClient("https://router.example", token=f"Bearer {token}\n")


def test_bad_url(token: str) -> None:
    SmokeClient(f"https://{token}@router.example", token=token)


def test_bad_id(smoke_client: SmokeClient, token: str) -> None:
    smoke_client.status(token)


def test_client_compared(smoke_client: SmokeClient) -> None:
    assert smoke_client == 1, pprint.pformat(vars(smoke_client))


def test_client_taken_apart(smoke_client: SmokeClient) -> None:
    def parts(value: object, depth: int = 6) -> object:
        if not hasattr(value, "__dict__") or not depth:
            return repr(value)
        return {name: parts(part, depth - 1) for name, part in vars(value).items()}

    raise AssertionError(parts(smoke_client))


def test_settings_compared(smoke_config: HydraSmokeConfig) -> None:
    other = smoke_config.model_copy(update={"token": None})
    assert smoke_config == other, smoke_config.model_dump_json()


def test_settings_dumped(smoke_config: HydraSmokeConfig) -> None:
    print(smoke_config, smoke_config.model_dump(), vars(smoke_config), f"{smoke_config.token}")
    raise AssertionError(dataclasses.asdict(smoke_config.link))


def test_reply(smoke_instance: SmokeInstance, token: str) -> None:
    turn = smoke_instance.chat(f"Is {token} yours?")
    assert turn.text == "as expected"


def test_reply_recorded(smoke_instance: SmokeInstance, token: str) -> None:
    # A test that fails is not recorded.
    assert smoke_instance.chat(f"Is {token} known?").complete


def test_reply_printed(smoke_instance: SmokeInstance) -> None:
    turn = smoke_instance.chat("What do you know?")
    print(turn.text, turn.events)
    logger.info("%s", turn.events)
    turn.expect_llm_events(at_least=99, timeout=0.1)


def test_counted(smoke_instance: SmokeInstance) -> None:
    turn = smoke_instance.chat("Who answers?")
    turn.expect_llm_events(at_least=1)  # It passes, and is recorded, with the providers.


def test_wait(smoke_instance: SmokeInstance) -> None:
    smoke_instance.wait(lambda status: False, timeout=0.1)


# What is printed, logged and warned of


def test_printed(token: str) -> None:
    print(token, [token], {"token": token})
    os.write(1, f"by number {token}\n".encode())
    os.write(2, f"by number {token}\n".encode())
    raise AssertionError


def test_logged(token: str) -> None:
    logger.debug("debug %s", token)
    logger.warning("warning %s", token)
    try:
        raise KeyError(token)
    except KeyError:
        logger.exception("exception")
    raise AssertionError


def test_warned(token: str) -> None:
    warnings.warn(f"warned of {token}", stacklevel=1)
    warnings.warn(DeprecationWarning(token, 2), stacklevel=1)


def test_passes_and_prints(token: str) -> None:
    print("passes", token)


# The token that the environment holds beside the one in use, or although none of it is in use


def test_others_printed() -> None:
    other = os.environ["OPS_BEARER_TOKEN"], os.environ["HYDRA_SMOKE_TOKEN"]
    print(other)
    logger.warning("%s", other)
    warnings.warn(f"warned of {other}", stacklevel=1)
    raise AssertionError(other)


def test_others_property(record_property: Any, record_testsuite_property: Any) -> None:
    record_property("other", os.environ["OPS_BEARER_TOKEN"])
    record_testsuite_property("other", os.environ["OPS_BEARER_TOKEN"])
    assert os.environ["OPS_BEARER_TOKEN"] == os.environ["HYDRA_SMOKE_TOKEN"]


def test_others_told_back(smoke_instance: SmokeInstance) -> None:
    turn = smoke_instance.chat(f"{os.environ['OPS_BEARER_TOKEN']} is mine")
    assert turn.text == os.environ["OPS_BEARER_TOKEN"]


# What pytest makes of values


def test_compared(token: str) -> None:
    assert token == "something else"


def test_compared_in_part(token: str) -> None:
    assert token.startswith("other"), token[:12] + "..." + token[-12:]


def test_compared_when_long(token: str) -> None:
    assert [token * 3] * 20 == [token * 3] * 19 + ["x"]


def test_compared_in_lines(token: str) -> None:
    assert f"a\n{token}\nb" == f"a\n{token}!\nb"


def test_compared_in_a_mapping(token: str) -> None:
    headers = {"authorization": f"Bearer {token}", "n": 1}
    assert headers == {"authorization": None, "n": 2}


def test_found(token: str) -> None:
    assert token not in f"there is {token} in it"


def test_bytes(token: str) -> None:
    assert token.encode() == b""


def test_json(token: str) -> None:
    raise AssertionError(json.dumps({"headers": [["authorization", token]]}))


def test_decoding(token: str) -> None:
    (token.encode() + b"\xff").decode()


@dataclasses.dataclass
class Carrier:
    name: str
    value: Any


def test_dataclass(token: str) -> None:
    assert Carrier("a", token) == Carrier("a", [token])


def test_chain(token: str) -> None:
    try:
        raise LookupError(token)
    except LookupError as error:
        raise OSError(f"second {token}") from error


def test_group(token: str) -> None:
    raise ExceptionGroup("several", [ValueError(token), KeyError(token)])


def test_note(token: str) -> None:
    error = ValueError("with a note")
    error.add_note(f"note {token}")
    raise error


def test_arguments(token: str) -> None:
    def below(first: str, second: dict[str, str]) -> None:
        raise RuntimeError

    below(token, {"key": token})


def test_recursion(token: str) -> None:
    def again(value: str, depth: int) -> None:
        again(value, depth + 1)

    again(token, 0)


# What is handed on


def test_property(token: str, record_property: Any) -> None:
    record_property("token", token)
    raise AssertionError


class Header:
    """What only its text shows."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __str__(self) -> str:
        return f"Bearer {self._value}"


class Shown(Header):
    def __repr__(self) -> str:
        return f"<{self._value}>"


def values(token: str) -> dict[str, object]:
    """Return values that are no strings, and whose text has the token in it."""
    raw = token.encode()
    return {
        "bytes": raw,
        "bytearray": bytearray(raw),
        "set": {token},
        "object": Header(token),
        "objects": [Shown(token), (Shown(token),)],
        "exception": ValueError(token),
        "headers": MappingProxyType({"authorization": f"Bearer {token}"}),
        "raw headers": [(b"authorization", b"Bearer " + raw)],
        "keyed": {raw: 1},
        "carrier": Carrier("a", {token: raw}),
    }


def test_properties_of_any_type(
    token: str, record_property: Any, record_testsuite_property: Any
) -> None:
    for name, value in values(token).items():
        # xdist can't send every type from a worker.
        sent = value if "PYTEST_XDIST_WORKER" not in os.environ else str(value)
        record_property(name, sent)
        record_testsuite_property(name, value)
    raise AssertionError(values(token))


@pytest.mark.filterwarnings("ignore:record_xml_attribute")
def test_attributes_of_any_type(token: str, record_xml_attribute: Any) -> None:
    for name, value in values(token).items():
        record_xml_attribute(name.replace(" ", "-"), value)


def test_values_logged_and_warned_of(token: str) -> None:
    for name, value in values(token).items():
        logger.warning("%s %s %r", name, value, value)
        warnings.warn(f"{value}", stacklevel=1)
    assert values(token) == {}


def test_encoded(token: str, record_property: Any) -> None:
    raw = token.encode()
    ways = [base64.b64encode(b"user:" + raw).decode(), base64.urlsafe_b64encode(raw).decode()]
    ways += [raw.hex(), raw.hex().upper(), "".join(f"\\u{ord(it):04x}" for it in token)]
    print(*ways, base64.b64encode(b"x" + raw))
    record_property("encoded", ways)
    raise AssertionError(ways)


@needs_subtests
def test_subtests_of_any_type(token: str, subtests: pytest.Subtests) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.skip("xdist sends no such values")
    with subtests.test(msg="of any type", raw=token.encode(), shown=Shown(token)):
        raise AssertionError(token)


def test_suite_property(token: str, record_testsuite_property: Any) -> None:
    record_testsuite_property(f"of {token}", f"token {token}")


@pytest.mark.filterwarnings("ignore:record_xml_attribute")
def test_attribute(token: str, record_xml_attribute: Any) -> None:
    record_xml_attribute("classname", f"of {token}")


def test_skipped(token: str) -> None:
    pytest.skip(f"because of {token}")


def test_expected(token: str) -> None:
    pytest.xfail(f"because of {token}")


@pytest.mark.xfail(strict=True)
def test_expected_and_passed(token: str) -> None:
    print(token)


def test_failed_in_words(token: str) -> None:
    pytest.fail(f"because of {token}", pytrace=False)


@needs_subtests
def test_subtests(token: str, subtests: pytest.Subtests) -> None:
    with subtests.test(msg=f"of {token}", key=token):
        raise AssertionError(token)
