"""An interrupt of a blocking request, at each place where a signal can come: the next one works.

A signal's handler runs after a call, at the begin of a function, and as a loop goes on.
"""

from __future__ import annotations

import dis
import gc
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import faulty_server as faulty
import httpcore
import pytest
from faulty_server import FaultyServer
from net_tools import AT_ONCE, SOME_ID, SPEC, TOKEN, link_to
from sizes import sizes
from tls_tools import CA, server_context
from transport_tools import ONE, STATUS

from pytest_hydrasmoke import SmokeClient
from pytest_hydrasmoke._api.calls import CALL_TIMEOUT
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke.fake import FakeRouter

AFTER = {"CALL", "CALL_FUNCTION_EX", "CALL_KW", "RESUME", "JUMP_BACKWARD"}
FILES = {"ssl.py", "socket.py", "threading.py"}
FOLDERS = {"httpcore", "httpx", "_transport", "_sync", "_backends"}
SAMPLE = 29
"""Every such place of a sample; a prime, so that no loop falls into step with it."""


class Interrupt:
    """Traces a thread, and raises as if a signal came at the n-th place."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.where = ""
        self._before: dict[FrameType, str] = {}

    def __call__(self, frame: FrameType, event: str, arg: object) -> Any:
        path = Path(frame.f_code.co_filename)
        if path.name not in FILES and path.parent.name not in FOLDERS:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "opcode":
            before = self._before.get(frame)
            now = self._before[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            # What makes a coroutine is awaited at once: no signal comes between.
            here = before in AFTER and now != "GET_AWAITABLE"
            self.left -= here
            if here and self.left == 0:
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self._step


def interrupted_at(place: int, url: str) -> str | None:
    """Interrupt a request, and make another; return what is wrong, None if it ended before."""
    wrong = ["it hangs"]
    interrupt = Interrupt(place)

    def work() -> None:
        io = SyncIO(link_to(url, ca_file=CA))
        sending = io.send(ONE, io.now() + 20)
        before = sys.gettrace()
        sys._getframe().f_trace_opcodes = True  # Python 3.12 looks for it once, in `settrace`.
        sys.settrace(interrupt)
        try:
            drive(sending)
            raised = interrupt.where and "no interrupt came out"
        except KeyboardInterrupt:
            raised = ""
        except BaseException as error:
            raised = repr(error)
        finally:
            sys.settrace(before)
        sending.close()
        assert drive(io.send(ONE, io.now() + 20)).status == 200
        io.close()
        wrong[:] = [raised]

    # A daemon: what waits for a lock that nobody gives back waits for ever.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(30)
    if not interrupt.where:
        return None
    return f"{interrupt.where}: {wrong[0]}" if wrong[0] else ""


@pytest.mark.parametrize("step", sizes("kill", SAMPLE, 1))
@pytest.mark.parametrize("over_tls", [False, True])
def test_after_an_interrupt_anywhere_the_next_request_works(over_tls: bool, step: int) -> None:
    faults: list[str] = []
    with FaultyServer(STATUS, tls=server_context() if over_tls else None) as server:
        place = 1
        while (wrong := interrupted_at(place, server.url)) is not None:
            faults += [wrong] if wrong else []
            place += step
        print(f"interrupted at {place // step} places, TLS {over_tls}")
        assert place > 300, "nothing was interrupted"
        # The server's ends end with ours.
        for thread in server._threads:
            thread.join(10)
            assert not thread.is_alive()
    assert faults == []
    gc.collect()  # A socket that nobody closed would be a warning, and so an error.


# Ctrl-C


def half(line: faulty.Line, request: faulty.Received) -> None:
    """Send the first event of a stream."""
    line.send(faulty.head(200, "content-type: text/event-stream", "transfer-encoding: chunked"))
    line.send(b"9\r\ndata: a\n\n\r\n")
    line.hang()


@pytest.mark.parametrize("stall", [faulty.stall_before_head, faulty.stall_in_body, half])
def test_an_interrupt_comes_out_at_once_and_the_client_goes_on(stall: faulty.Behaviour) -> None:
    def interrupt() -> None:
        """Interrupt the main thread, as Ctrl-C does, once the server has a request."""
        assert server.arrived.wait(5)
        time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def ask(client: SmokeClient, *, goes_on: bool = False) -> None:
        if stall is not half:
            assert client.status(SOME_ID).status == "running"
            return
        with client.stream_chat(SOME_ID, "hello") as events:
            assert next(events).data == "a"
            if not goes_on:
                list(events)

    behave = faulty.in_turn(stall, half if stall is half else STATUS)
    with FaultyServer(behave) as server, SmokeClient(server.url, token=TOKEN) as client:
        thread = threading.Thread(target=interrupt)
        thread.start()
        until = time.monotonic() + CALL_TIMEOUT
        with pytest.raises(KeyboardInterrupt):
            ask(client)
        assert time.monotonic() < until
        thread.join()
        ask(client, goes_on=True)
    gc.collect()  # A socket that nobody closed would be a warning, and so an error.


def test_an_interrupt_as_a_stream_is_let_go_holds_up_no_later_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_go = httpcore._sync.http11.HTTP11Connection._response_closed

    def interrupted(connection: Any) -> None:
        monkeypatch.undo()
        let_go(connection)
        # As the lock is given back, where a signal may come too.
        connection._state_lock.__enter__()
        raise KeyboardInterrupt

    statuses: list[str] = []
    with FakeRouter(AT_ONCE) as fake:
        client = SmokeClient(fake.url, token=fake.token)
        instance_id = str(client.provision(SPEC, "key").instance_id)
        monkeypatch.setattr(httpcore._sync.http11.HTTP11Connection, "_response_closed", interrupted)
        with pytest.raises(KeyboardInterrupt), client.stream_chat(instance_id, "hello") as events:
            list(events)
        # A daemon: what waits for that lock waits for ever.
        call = threading.Thread(
            target=lambda: statuses.append(client.status(instance_id).status), daemon=True
        )
        call.start()
        call.join(10)
        assert statuses == ["running"]
        client.close()
