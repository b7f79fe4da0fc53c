"""A run at a router that says far too much: `fire_polls.py JSON`, in a process of its own.

Prints, in JSON, by how much the process has grown at most, and how large its report is.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

from fire_process import memory
from net_tools import FIELDS

from pytest_hydrasmoke import HydraSmokeConfig, HydraSmokeError
from pytest_hydrasmoke._report.build import report_of
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.preflight import learn
from pytest_hydrasmoke._run.session import SmokeSession


def main(given: dict[str, Any]) -> None:
    seconds = given["seconds"]
    config = HydraSmokeConfig(
        url=given["url"],
        token=given["token"],
        run_id="fire",
        output=given["output"],
        ready_timeout=seconds,
        llm_events_timeout=seconds,
        delete_timeout=1.0,
        **FIELDS,
    )
    session = SmokeSession(config, Ledger(config.output, config.run_id), forms=learn(config))
    session.ledger.begin("main")
    before = memory("VmRSS")
    with contextlib.suppress(HydraSmokeError):
        instance = session.provision(config.spec)
        turn = instance.chat("hello")
        turn.expect_llm_events(at_least=10**9)
    session.close()
    [record] = session.records
    report = report_of(str(record.key), record, 0.0).model_dump_json()
    session.ledger.end()
    print(json.dumps({"growth": memory("VmHWM") - before, "report": len(report)}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
