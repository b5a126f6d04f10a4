"""The table of hyperparameters: a flat name for every field of a specification, with what it means.

The library's keyword arguments, the options of the command line and their help all come from here.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    """One hyperparameter: its flat name, the field of the specification that it sets, its type, and what it means."""

    name: str
    path: str
    kind: type
    help: str
    choices: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    """Further fields that get the same value, unless they are named themselves."""


WHAT, SHAPE, DATA, MOVES, LASTING, SEEING, COMPUTING = (
    "What to make",
    "Shape of the model",
    "From rows to tokens",
    "How the weights are moved",
    "Against learning by heart",
    "Looking on and saving",
    "How it is computed",
)
OPTIMIZERS = ("adamw", "adam", "sgd", "rmsprop", "adafactor", "muon")
SCHEDULES = ("constant", "linear", "cosine", "warmup_stable_decay", "inverse_square_root")
PRECISIONS = ("fp32", "bf16", "tf32", "fp16")
METHODS = ("sft", "dpo", "ipo", "kto", "simpo", "orpo", "reward", "grpo")
LEARNING, ANSWERING = "What is learnt", "GRPO: answers and their scores"

# What only fine-tuning takes: its method, with the settings of those that learn from preferences and from scores.
METHOD_ROWS_BY_GROUP: dict[str, tuple[Row, ...]] = {
    LEARNING: (
        Row("method", "method", str, "What is learnt from the rows. Default: sft, the next token.", METHODS),
        Row(
            "beta",
            "preference.beta",
            float,
            "How closely to stay to the base; above 0, at most 100. Default: 0.1; simpo 2.",
        ),
        Row(
            "flipped_share",
            "preference.label_smoothing",
            float,
            "Share of pairs taken to be the wrong way round; 0 to below 0.5, dpo only. Default: 0.",
        ),
        Row("margin", "preference.margin", float, "Margin that simpo aims at; 0 to 100. Default: 0.5."),
        Row(
            "sft_weight",
            "preference.sft_weight",
            float,
            "Weight of learning the chosen answer itself; 0 to 100, dpo and ipo only. Default: 0.",
        ),
        Row("desirable_weight", "preference.desirable_weight", float, "Weight of good answers, kto only. Default: 1."),
        Row(
            "undesirable_weight",
            "preference.undesirable_weight",
            float,
            "Weight of bad answers, kto only. Default: 1.",
        ),
    ),
    ANSWERING: (
        Row("group_size", "grpo.group_size", int, "Answers to each prompt; 2 to 64. Default: 8."),
        Row("answer_tokens", "grpo.max_tokens", int, "Most tokens of an answer; 1 to 4096. Default: 64."),
        Row("answer_temperature", "grpo.temperature", float, "How freely to draw; above 0, at most 10. Default: 1."),
        Row("checker", "grpo.checker.name", str, "A program that scores, such as python-parses, or contains=def."),
        Row("checker_argument", "grpo.checker.argument", str, "What the checker looks for, if not after its name."),
        Row("reward_model", "grpo.reward_model", str, "A reward model that scores, such as judge@v1."),
        Row("kl_weight", "grpo.kl_weight", float, "Weight of staying close to the base; 0 to 100. Default: 0.04."),
        Row(
            "clip_ratio",
            "grpo.clip_ratio",
            float,
            "How far a token's probability may move in one step, as a ratio; below 1. Default: 0.2.",
        ),
        Row("updates", "grpo.updates", int, "Updates from the same answers; 1 to 16. Default: 1."),
    ),
}

ROWS_BY_GROUP: dict[str, tuple[Row, ...]] = {
    WHAT: (
        Row("preset", "preset", str, 'A ready-made shape with its learning rate and batch size. Default: "tiny".'),
        Row("steps", "steps", int, "Optimizer steps; 1 to 10,000,000. Default: the preset's."),
        Row("seed", "seed", int, "Seed of weights and data order. Default: chosen by the service, and shown."),
        Row("model", "model", str, "Id of the model to publish a version of. Default: {dataset}-{preset}."),
    ),
    SHAPE: (
        Row("layers", "architecture.layers", int, "Transformer blocks; 1 to 128. Default: the preset's."),
        Row("width", "architecture.width", int, "Model width, a multiple of heads; 8 to 16384. Default: the preset's."),
        Row("heads", "architecture.heads", int, "Query heads; 1 to 128. Default: the preset's."),
        Row(
            "key_value_heads",
            "architecture.key_value_heads",
            int,
            "Key and value heads; divides heads. Default: heads.",
        ),
        Row(
            "feed_forward_width",
            "architecture.feed_forward_width",
            int,
            "Width of the feed-forward layer; 8 to 65536. Default: 8/3 of width, rounded up to a multiple of 64.",
        ),
        Row("context_length", "architecture.context_length", int, "Longest sequence, in tokens; 8 to 32768."),
        Row("tied_head", "architecture.tied_head", bool, "Share the weights of the embedding with the output layer."),
        Row("rotary_base", "architecture.rotary_base", float, "Base of the rotary frequencies. Default: 10000."),
    ),
    DATA: (
        Row(
            "tokenizer",
            "tokenizer.kind",
            str,
            "How text becomes tokens. Default: bytes; file, if tokenizer_dataset is given.",
            ("bytes", "bpe", "file"),
        ),
        Row(
            "vocabulary_size",
            "tokenizer.vocabulary_size",
            int,
            "Tokens of a BPE vocabulary; 258 to 131072. Default: 4096.",
        ),
        Row("tokenizer_dataset", "tokenizer.dataset", str, "The uploaded tokenizer.json to use."),
        Row("packing", "rows.packing", bool, "Let rows share a sequence, each seeing itself alone. Default: yes."),
        Row(
            "loss_on",
            "rows.loss_on",
            str,
            "Tokens that the loss counts. Default: the completion where a row has one, else all.",
            ("all", "completion"),
        ),
        Row("chat_template", "rows.chat_template", str, "Jinja template for messages. Default: ChatML."),
        Row("deduplicate", "rows.deduplicate", bool, "Leave out rows that occur again. Default: yes."),
    ),
    MOVES: (
        Row("optimizer", "optimization.optimizer", str, "The rule. Default: adamw.", OPTIMIZERS),
        Row(
            "learning_rate",
            "optimization.learning_rate",
            float,
            "Highest learning rate, reached after warm-up; above 0, at most 1. Default: the preset's.",
        ),
        Row("schedule", "optimization.schedule", str, "How the learning rate goes. Default: cosine.", SCHEDULES),
        Row(
            "final_learning_rate_ratio",
            "optimization.final_learning_rate_ratio",
            float,
            "Learning rate at the last step, as a share of the highest; 0 to 1. Default: 0.1.",
        ),
        Row(
            "warmup_steps",
            "optimization.warmup_steps",
            int,
            "Steps of linear warm-up. Default: 5% of the steps, at most 200.",
        ),
        Row(
            "decay_ratio",
            "optimization.decay_ratio",
            float,
            "Share of the steps over which warmup_stable_decay falls. Default: 0.2.",
        ),
        Row("batch_size", "optimization.batch_size", int, "Sequences in one step; 1 to 65536. Default: the preset's."),
        Row("clip_norm", "optimization.clip_norm", float, "Largest norm of the gradient; 0: any. Default: 1."),
        Row(
            "momentum",
            "optimization.momentum",
            float,
            "Momentum; 0 to below 1. Default: 0.9 for sgd, 0 for rmsprop, 0.95 for muon.",
        ),
        Row("nesterov", "optimization.nesterov", bool, "Momentum that looks ahead. Default: yes for muon, no for sgd."),
        Row("beta1", "optimization.beta1", float, "Decay of the first moment of Adam's kind. Default: 0.9."),
        Row("beta2", "optimization.beta2", float, "Decay of the second moment. Default: 0.95; for rmsprop 0.99."),
        Row("epsilon", "optimization.epsilon", float, "Added to the root of the second moment. Default: 1e-8."),
    ),
    LASTING: (
        Row("weight_decay", "optimization.weight_decay", float, "Decay of matrices; 0 to 1. Default: 0.1."),
        Row(
            "dropout",
            "regularization.residual_dropout",
            float,
            "All three dropouts below at once; 0 to below 1. Default: 0.",
            also=("regularization.attention_dropout", "regularization.embedding_dropout"),
        ),
        Row(
            "residual_dropout",
            "regularization.residual_dropout",
            float,
            "Share of each layer's contribution that is left out. Default: 0.",
        ),
        Row(
            "attention_dropout",
            "regularization.attention_dropout",
            float,
            "Share of the attention weights that is left out. Default: 0.",
        ),
        Row(
            "embedding_dropout",
            "regularization.embedding_dropout",
            float,
            "Share of the embedding that is left out. Default: 0.",
        ),
        Row(
            "label_smoothing",
            "regularization.label_smoothing",
            float,
            "Probability spread over all tokens instead of the right one. Default: 0.",
        ),
        Row(
            "early_stopping",
            "regularization.early_stopping.patience",
            int,
            "End after so many evaluations in a row without improvement; 0: never. Default: 0.",
        ),
        Row(
            "early_stopping_min_delta",
            "regularization.early_stopping.min_delta",
            float,
            "What counts as an improvement, in nats per token. Default: 0.",
        ),
        Row(
            "publish_best",
            "checkpoints.publish_best",
            bool,
            "Publish the weights with the lowest validation loss, not the last. Default: with early stopping only.",
        ),
    ),
    SEEING: (
        Row(
            "evaluation_interval_steps",
            "evaluation.interval_steps",
            int,
            "Steps between evaluations; 0: at the end only. Default: a tenth of the steps.",
        ),
        Row("evaluation_sequences", "evaluation.sequences", int, "Sequences in one evaluation. Default: 64, or all."),
        Row(
            "sample_interval_steps",
            "samples.interval_steps",
            int,
            "Steps between samples; 0 draws none. Default: a tenth of the steps.",
        ),
        Row("sample_prompt", "samples.prompt", str, "What the model continues in samples; at most 2000 characters."),
        Row("sample_tokens", "samples.tokens", int, "Tokens of one sample; 1 to 1000. Default: 100."),
        Row(
            "checkpoint_interval_steps",
            "checkpoints.interval_steps",
            int,
            "Steps between checkpoints. Default: a tenth of the steps, at least 10 and at most 1000.",
        ),
    ),
    COMPUTING: (
        Row("precision", "precision", str, "The arithmetic. Default: chosen by the worker.", PRECISIONS),
        Row(
            "micro_batch_size",
            "optimization.micro_batch_size",
            int,
            "Sequences computed at once; divides batch_size. Default: batch_size.",
        ),
        Row("compile", "compute.compilation", bool, "Compile the steps. Default: where that pays within the run."),
        Row(
            "activation_checkpointing",
            "compute.activation_checkpointing",
            bool,
            "Compute activations again instead of keeping them: less memory, a third more time. Default: no.",
        ),
    ),
}

# What fine-tuning does not take: the base has it. What it takes elsewhere or by other defaults.
NOT_TUNING = {"preset", *(row.name for row in ROWS_BY_GROUP[SHAPE]), "tokenizer", "vocabulary_size"}
NOT_TUNING |= {"tokenizer_dataset"}
TUNING_HELP = {
    "steps": "Optimizer steps; 1 to 10,000,000. Default: 200.",
    "seed": "Seed of data order, dropout and adapters. Default: chosen by the service, and shown.",
    "model": "Id of the model to publish a version of. Default: the model of the base.",
    "learning_rate": "Highest learning rate, reached after warm-up. Default: 1e-4; with --lora 2e-4.",
    "batch_size": "Sequences in one step; 1 to 65536. Default: 8.",
    "chat_template": "Jinja template for messages. Default: the base's, else ChatML.",
}
TUNING_CONTEXT = Row(
    "context_length",
    "context_length",
    int,
    "Longest sequence, in tokens; 8 to the context of the base. Default: the context of the base, at most 2048.",
)


def tuning_rows() -> dict[str, tuple[Row, ...]]:
    """Returns the table for fine-tuning."""
    table = dict(METHOD_ROWS_BY_GROUP)
    for group, rows in ROWS_BY_GROUP.items():
        kept = [row for row in rows if row.name not in NOT_TUNING]
        if group == DATA:
            kept.insert(0, TUNING_CONTEXT)
        if kept:
            table[group] = tuple(dataclasses.replace(row, help=TUNING_HELP.get(row.name, row.help)) for row in kept)
    return table


TUNING_ROWS_BY_GROUP = tuning_rows()
ROWS = tuple(row for rows in ROWS_BY_GROUP.values() for row in rows)
TUNING_ROWS = tuple(row for rows in TUNING_ROWS_BY_GROUP.values() for row in rows)
