"""Which families there are, and which of them can express a shape."""

import dataclasses
from collections.abc import Callable
from typing import Any

from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.families import gemma, llama, qwen
from trainer_worker.trainer.engine.families.settings import CONFIG, Settings
from trainer_worker.trainer.engine.model_config import ModelConfig


@dataclasses.dataclass(frozen=True)
class Family:
    """What config.json calls a kind of model, and how its settings become a shape and come from one.

    `norm_offset` is what is added to the stored weights of norms before they are used.
    """

    architecture: str
    model_type: str
    read: Callable[[Settings], ModelConfig]
    write: Callable[[ModelConfig], dict[str, Any]]
    norm_offset: float = 0.0


# Those that can express less come first: a shape is written as the first one that expresses it.
FAMILIES = (
    Family("LlamaForCausalLM", "llama", llama.read_llama, llama.write_llama),
    Family("MistralForCausalLM", "mistral", llama.read_mistral, llama.write_mistral),
    Family("Qwen2ForCausalLM", "qwen2", qwen.read_qwen2, qwen.write_qwen2),
    Family("Qwen3ForCausalLM", "qwen3", qwen.read_qwen3, qwen.write_qwen3),
    Family("GemmaForCausalLM", "gemma", gemma.read_gemma, gemma.write_gemma, norm_offset=1.0),
    Family("Gemma2ForCausalLM", "gemma2", gemma.read_gemma2, gemma.write_gemma2, norm_offset=1.0),
    Family("Gemma3ForCausalLM", "gemma3_text", gemma.read_gemma3, gemma.write_gemma3, norm_offset=1.0),
)


def family_named(settings: Settings) -> Family:
    """The family of a config.json. The architecture says it, or the type of model where there is none.

    Raises: UnusableData that says which ones are read, or that the two are not of one family.
    """
    architectures = settings.list_of_words("architectures") or []
    model_type = settings.values.get("model_type")
    for family in FAMILIES:
        if architectures == [family.architecture] and model_type not in (None, family.model_type):
            raise UnusableData(
                f"{CONFIG} names {family.architecture}, and its model_type is {ascii(model_type)[:80]}.",
                help=f'Of {family.architecture} it is "{family.model_type}": correct the one that is wrong.',
            )
        if architectures == [family.architecture] or (not architectures and model_type == family.model_type):
            return family
    found = ", ".join(architectures) or model_type or "no architecture"
    known = ", ".join(family.architecture for family in FAMILIES)
    raise UnusableData(f"{CONFIG} names {found}, which is not read.", help=f"These are: {known}.")


def family_of(shape: ModelConfig) -> Family:
    """The family in which a shape can be written without losing anything. Raises: UnusableData if there is none."""
    for family in FAMILIES:
        if expresses(family, shape):
            return family
    raise UnusableData("No family of Hugging Face has all the parts of this model.")


def expresses(family: Family, shape: ModelConfig) -> bool:
    """Whether what the family writes about a shape is read back as the same shape."""
    try:
        return family.read(Settings(family.write(shape))) == shape
    except UnusableData:
        return False
