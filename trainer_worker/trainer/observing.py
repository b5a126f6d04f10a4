"""What there is to see after a step: held-out loss, the hardest rows, a sample, memory, and the metrics."""

import math
from collections.abc import Generator, Iterator

from trainer_worker.trainer.blame import blame
from trainer_worker.trainer.engine import memory
from trainer_worker.trainer.engine.generate import DrawRule, continue_tokens
from trainer_worker.trainer.engine.reward_model import RewardModel
from trainer_worker.trainer.overfitting import take_note
from trainer_worker.trainer.run import Run
from trainer_worker.trainer.telling import Told, progress
from tutelage.v1 import jobs_pb2
from tutelage_internal.v1 import pipe_pb2

DRAWN_BETWEEN_SIGNS = 50


def observe(run: Run) -> Iterator[Told]:
    """Evaluates and draws where the step is due for it, and tells what is not recorded yet.

    An evaluation is repeated even if it is recorded: later checkpoints carry its result.
    """
    state, spec = run.state, run.spec
    if state.step == 0:
        return
    metrics = dict(state.metrics)
    if due(run, spec.evaluation.interval_steps) or run.over:
        metrics |= yield from measure(run)
        yield from blame(run)
        if not run.told_before and not run.over:
            yield jobs_pb2.Usage(peak_memory_bytes=memory.peak_bytes(run.device))
    stall_s, run.kept.stall_s = run.kept.stall_s, 0.0
    if run.told_before:
        return
    if spec.samples.interval_steps and (due(run, spec.samples.interval_steps) or run.over):
        yield from sample(run)
    if stall_s:
        metrics["perf/checkpoint_stall_seconds"] = stall_s
    yield jobs_pb2.MetricLogged(
        step=state.step, values=metrics, data_chain=state.data_chain, loss_chain=state.loss_chain
    )


def due(run: Run, interval_steps: int) -> bool:
    return interval_steps > 0 and run.state.step % interval_steps == 0


def measure(run: Run) -> Generator[Told, None, dict[str, float]]:
    """Evaluates on the validation part. Returns the metrics; none if there is nothing to evaluate on."""
    evaluation = yield from run.method.evaluate(run)
    if evaluation is None:
        return {}
    yield from take_note(run, evaluation)
    return {f"eval/{key}": value for key, value in evaluation.metrics().items() if math.isfinite(value)}


def sample(run: Run) -> Iterator[Told]:
    """Draws a continuation of the prompt, the same one each time it is drawn from the same weights.

    Weights that are no numbers have nothing to say, and the recipe ends the run over them; nor have reward models.
    """
    state, tokenizer = run.state, run.tokenizer
    if not run.weights_are_finite() or isinstance(run.model, RewardModel):
        return
    drawn: list[int] = []
    run.model.eval()
    tokens = continue_tokens(
        run.model,
        tokenizer.encode_prompt(run.prompt),
        rule=DrawRule(),
        seed=state.seed + state.step,
        tokens_max=run.spec.samples.tokens,
        end_of_text=tokenizer.end_of_text,
    )
    for token in tokens:
        if len(drawn) % DRAWN_BETWEEN_SIGNS == 0:
            yield progress(pipe_pb2.SECTION_EVALUATE, step=state.step)
        drawn.append(token)
    run.model.train()
    # An untrained model may draw NUL, which no database keeps in a text.
    text = tokenizer.continuation(drawn).replace("\0", "\ufffd")
    yield jobs_pb2.SampleDrawn(step=state.step, prompt=run.prompt, text=text)
