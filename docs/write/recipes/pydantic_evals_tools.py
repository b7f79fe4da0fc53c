"""test_pydantic_evals.py: a table of questions and tools, of which a share must be right."""

from pydantic_evals import Case, Dataset
from pydantic_evals.evaluators import EqualsExpected

CASES = [
    Case(inputs="What of order 17?", expected_output=[("find_order", {"id": 17})]),
    Case(inputs="When do you open on Monday?", expected_output=[]),
]


def test_calls_the_right_tools(smoke_instance):
    def tools(message):
        return [(it.name, it.arguments) for it in smoke_instance.chat(message).tool_calls]

    questions = Dataset(name="tools", cases=CASES, evaluators=[EqualsExpected()])
    report = questions.evaluate_sync(tools, max_concurrency=1, progress=False)
    report.print(include_input=True, include_output=True)
    assert not report.failures
    assert report.averages().assertions >= 0.9
