"""A model writes far more than the run uses: what follows reads it and puts out a small part."""

from __future__ import annotations

from collections.abc import Iterator

from difyops.cost.advice import LEAST, AdviceNode, AppRecord, CostAdvice, Saving

_LONG = 2000  # characters
_USED = 0.25
_TAKES_OUT = ("code", "template-transform", "parameter-extractor", "question-classifier", "if-else", "list-operator")


def advise(record: AppRecord) -> Iterator[CostAdvice]:
    """Yield each model node whose answers are long and are read only by nodes that put out at most a quarter of them.

    An answer that goes to the user, to another prompt, or to nobody who is recorded is left alone.
    """
    for node in record.nodes.values():
        if node.type != "llm" or len(node.calls) < LEAST:
            continue
        written = node.mean([call.output_size for call in node.calls])
        readers = record.readers(node.id)
        if written < _LONG or not readers or any(item.type not in _TAKES_OUT for item in readers):
            continue
        used = sum(item.mean([call.output_size for call in item.calls]) for item in readers)
        if used > written * _USED:
            continue
        completion = node.mean([call.completion for call in node.calls])
        yield CostAdvice(
            rule="unused_output", node=node.id, n=len(node.calls),
            saving=_saving(record, node, completion, used, written),
            title=f"{node.title} writes {written:,.0f} characters, and what reads it puts out {used:,.0f}",
            evidence={"tokens out (mean)": round(completion, 1), "characters out": round(written),
                      "characters used": round(used), "read by": ", ".join(item.title for item in readers)},
            steps=(
                "Ask for what is used only: a field, a label, JSON with those members.",
                "Set max_tokens to a little more than that needs.",
                "Thinking that the model writes before it answers may be needed: try it with difyops eval.",
            ),
        )  # fmt: skip


def _saving(record: AppRecord, node: AdviceNode, completion: float, used: float, written: float) -> Saving | None:
    if node.rate is None or node.rate.output is None:
        return None
    most = completion * (1 - used / written)
    return Saving(
        low=record.per_thousand(node, 0, node.rate.output), high=record.per_thousand(node, most, node.rate.output),
        currency=node.rate.currency, basis="the list's price of output, for nothing up to all that is not used",
    )  # fmt: skip
