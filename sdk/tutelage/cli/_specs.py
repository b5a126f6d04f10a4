"""What a job was told, in words: one function a kind of job."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tutelage._names import short_name, spoken_name

if TYPE_CHECKING:
    import tutelage

PREFIXES = ("TOKENIZER_KIND_", "OPTIMIZER_", "SCHEDULE_", "COMPILATION_", "LOSS_ON_", "EXPORT_FORMAT_", "PRECISION_")
TEXT_CHARACTERS_MAX = 60


def spec_details(info: "tutelage.JobInfo") -> Mapping[str, str]:
    """Returns what a job was told, every default filled in."""
    if info.train is not None:
        return train_details(info.train)
    if info.fine_tune is not None:
        return fine_tune_details(info.fine_tune)
    if info.import_model is not None:
        return {"files": short_name(info.import_model.dataset), "base": short_name(info.import_model.base)}
    if info.export_model is not None:
        return {"form": info.export_model.format.value.lower().replace("_", "-")}
    if info.draw is not None:
        return draw_details(info.draw)
    if info.evaluate is not None:
        return evaluate_details(info.evaluate)
    return verify_details(info.verify) if info.verify is not None else {}


def train_details(spec: "tutelage.TrainSpec") -> Mapping[str, str]:
    """Returns what a pretraining job was told."""
    return {
        **dataset_details(spec),
        "preset": spec.preset,
        "architecture": settings(spec.architecture),
        "tokenizer": settings(spec.tokenizer),
        **training_details(spec),
    }


def fine_tune_details(spec: "tutelage.FineTuneSpec") -> Mapping[str, str]:
    """Returns what a fine-tuning job was told."""
    return {
        "base": short_name(spec.base),
        **dataset_details(spec),
        "method": method_of(spec),
        "preference": settings(spec.preference),
        "answers": settings(spec.grpo),
        "learns": f"LoRA: {settings(spec.lora)}" if spec.lora else "all weights",
        "context": f"{spec.context_length:,} tokens" if spec.context_length else "",
        **training_details(spec),
    }


def method_of(spec: "tutelage.FineTuneSpec") -> str:
    """Returns what is learnt from the rows."""
    return spec.method.lower() if spec.method is not None and spec.method != "UNSPECIFIED" else ""


def draw_details(spec: "tutelage.DrawSpec") -> Mapping[str, str]:
    """Returns what a drawing job was told."""
    return {
        "models": ", ".join(spoken_name(model) for model in spec.models),
        "prompts": short_name(spec.prompts) + (f", the first {spec.prompts_max:,}" if spec.prompts_max else ""),
        "samples": f"{spec.samples} of each model to each prompt" if spec.samples else "",
        "drawing": settings(spec.options),
        "scored by": settings(spec.checker) or spoken_name(spec.reward_model),
    }


def evaluate_details(spec: "tutelage.EvaluateSpec") -> Mapping[str, str]:
    """Returns what a measuring job was told."""
    rows = {True: "all rows", False: "the rows kept for validation", None: ""}[spec.all_rows]
    return {
        "measures": spoken_name(spec.model),
        "dataset": short_name(spec.dataset),
        "rows": rows,
        "drawing": settings(spec.options),
    }


def verify_details(spec: "tutelage.VerifySpec") -> Mapping[str, str]:
    """Returns what a verifying job was told."""
    last = (spec.first_step or 0) + (spec.steps or 1) - 1
    steps = f"{spec.first_step:,} to {last:,}" if spec.first_step else ""
    return {"of": short_name(spec.job), "computes again": f"steps {steps}" if steps else ""}


def dataset_details(spec: "tutelage.TrainSpec | tutelage.FineTuneSpec") -> Mapping[str, str]:
    """Returns what is trained on."""
    parts = [f"{short_name(part.dataset)} (weight {part.weight or 1:g})" for part in spec.mixture]
    return {"dataset": short_name(spec.dataset), "mixed with": ", ".join(parts)}


def training_details(spec: "tutelage.TrainSpec | tutelage.FineTuneSpec") -> Mapping[str, str]:
    """Returns what all training is told."""
    return {
        "rows": settings(spec.rows),
        "optimization": settings(spec.optimization),
        "regularization": settings(spec.regularization),
        "compute": settings(spec.compute),
        "steps": f"{spec.steps:,}" if spec.steps else "",
        "seed": "" if spec.seed is None else str(spec.seed),
    }


def headline(info: "tutelage.JobInfo") -> str:
    """Returns what a job is, on one line."""
    return f"{short_name(info.name)}{what(info)}"


def what(info: "tutelage.JobInfo") -> str:
    """Returns what a job does, after a colon."""
    if (train := info.train) is not None:
        return f": {short_name(train.dataset)}, preset {train.preset}, {train.steps or 0:,} steps"
    if (tune := info.fine_tune) is not None:
        how = f"LoRA of rank {tune.lora.rank}" if tune.lora else "all weights"
        method = f"{method_of(tune)}, " if method_of(tune) not in ("", "sft") else ""
        return f": {short_name(tune.base)} on {short_name(tune.dataset)}, {method}{how}, {tune.steps or 0:,} steps"
    if info.import_model is not None:
        return f": imports {info.import_model.model}"
    if info.export_model is not None:
        return f": exports {short_name(info.export_model.model)}"
    if info.draw is not None:
        models = ", ".join(spoken_name(model) for model in info.draw.models)
        return f": {models} on {short_name(info.draw.prompts)}"
    if info.evaluate is not None:
        return f": measures {spoken_name(info.evaluate.model)} on {short_name(info.evaluate.dataset)}"
    return f": computes steps of {short_name(info.verify.job)} again" if info.verify is not None else ""


def settings(value: "tutelage.Value | None") -> str:
    """Returns the set fields of a part of a specification."""
    return ", ".join(words(value.to_dict())) if value else ""


def words(content: Mapping[str, object]) -> list[str]:
    """Returns each setting in words; what lies deeper comes with the name of its part."""
    said = []
    for name, item in content.items():
        if isinstance(item, Mapping):
            said += [f"{name} {deeper}" for deeper in words(item)]
        elif item not in ("", []) and not str(item).endswith("_UNSPECIFIED"):
            said.append(f"{name} {setting(item)}")
    return said


def setting(item: object) -> str:
    """Returns one setting in words."""
    if isinstance(item, bool):
        return "yes" if item else "no"
    if isinstance(item, float):
        return f"{item:g}"
    if isinstance(item, list):
        return "+".join(str(part) for part in item)
    prefix = next((prefix for prefix in PREFIXES if str(item).startswith(prefix)), "")
    text = str(item).removeprefix(prefix).lower() if prefix else str(item)
    return text if len(text) <= TEXT_CHARACTERS_MAX else f"{text[:TEXT_CHARACTERS_MAX]}…"
