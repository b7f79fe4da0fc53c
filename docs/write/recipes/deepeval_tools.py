"""test_deepeval.py: deepeval scores which tools a turn called; no model is asked."""

from deepeval import assert_test
from deepeval.metrics import ToolCorrectnessMetric
from deepeval.models import OpenAIModel
from deepeval.test_case import LLMTestCase, ToolCall, ToolCallParams


def test_looks_the_order_up(smoke_instance):
    turn = smoke_instance.chat("What of order 17?")
    calls = [ToolCall(name=it.name, input_parameters=it.arguments or {}) for it in turn.tool_calls]
    case = LLMTestCase(input=turn.message, actual_output=turn.text, tools_called=calls)
    case.expected_tools = [ToolCall(name="find_order", input_parameters={"id": 17})]
    compared = [ToolCallParams.INPUT_PARAMETERS]
    model = OpenAIModel(api_key="unused")
    metric = ToolCorrectnessMetric(threshold=1, evaluation_params=compared, model=model)
    assert_test(case, [metric])
