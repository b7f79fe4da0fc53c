"""conftest.py: a trace of the run for OpenTelemetry, a span for each instance and phase."""

from __future__ import annotations

from datetime import timedelta

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

from pytest_hydrasmoke import Report

# Spans go to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names by the `OTLPSpanExporter` of
# opentelemetry-exporter-otlp-proto-http: put it in the place of this one, which prints them.
EXPORTER = ConsoleSpanExporter


def nanoseconds(moment):
    return int(moment.timestamp() * 1e9)


def pytest_hydra_smoke_report(report: Report) -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(EXPORTER()))
    tracer = provider.get_tracer("pytest-hydrasmoke")
    run = tracer.start_span(
        "hydra-smoke run",
        start_time=nanoseconds(report.began),
        attributes={"run_id": report.run_id, "fake": report.fake, "exit_code": report.exit_code},
    )
    for instance in report.instances:
        if instance.began is None:
            continue
        whole = tracer.start_span(
            "instance",
            trace.set_span_in_context(run),
            start_time=nanoseconds(instance.began),
            attributes={"id": instance.id or "", "outcome": instance.outcome},
        )
        last = instance.began
        for phase in instance.spans:
            began = instance.began + timedelta(seconds=phase.at)
            ended = began + timedelta(seconds=phase.seconds)
            last = max(last, ended)
            span = tracer.start_span(
                phase.phase, trace.set_span_in_context(whole), start_time=nanoseconds(began)
            )
            span.end(nanoseconds(ended))
        if instance.outcome in ("leaked", "unsure"):
            whole.set_status(trace.StatusCode.ERROR, instance.leak or instance.outcome)
        whole.end(nanoseconds(last))
    run.end(nanoseconds(report.began + timedelta(seconds=report.seconds)))
    # What is not sent in 10 s is not worth a pipeline's time.
    provider.force_flush(10_000)
    provider.shutdown()
