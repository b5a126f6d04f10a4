"""Every limit of the service, each with its reason.

The proto comments, the SDK's docstrings and the CHECK constraints repeat these numbers; a test compares them.
"""

import dataclasses

MIB, GIB = 1024**2, 1024**3

# Names
ID_CHARACTERS_MAX = 63  # one DNS label: ids end up in host names and Kubernetes labels
NAME_CHARACTERS_MAX = 300  # the longest pattern with four ids of 63 and its words
DISPLAY_NAME_CHARACTERS_MAX = 100  # one line of a table
FILENAME_CHARACTERS_MAX = 200  # below the 255 bytes of file systems
LABELS_MAX = 16  # enough to find a job by; they are indexed
LABEL_KEY_CHARACTERS_MAX = 63  # like an id
LABEL_VALUE_CHARACTERS_MAX = 256  # a sentence, no document

# Questions
PAGE_SIZE_MAX = 1000  # 1000 jobs take 600 KB
PAGE_BYTES_MAX = 7 * MIB // 2  # a job with a template may take 80 KB, and a message holds 4 MiB
PAGE_SIZE_DEFAULT = 50
EVENTS_PAGE_SIZE_DEFAULT = 100
AUDIT_PAGE_SIZE_DEFAULT = 100
FILTER_CHARACTERS_MAX = 2000  # a person's filter is a line
FILTER_TERMS_MAX = 20  # bounds the SQL that one filter becomes
PAGE_TOKEN_CHARACTERS_MAX = 2000  # ours are below 300
METRIC_KEYS_MAX = 20  # curves of one page of a console
METRIC_POINTS_MAX = 4000  # about a pixel each on the widest screens
METRIC_POINTS_DEFAULT = 1000
EVENTS_READ_MAX = 1000  # rows that the tailer takes at once

# Datasets
UPLOAD_BYTES_MAX = 4 * GIB  # a byte tokenizer indexes it with 32 bits; larger text comes in shards later
UPLOAD_CHUNK_BYTES_MAX = 1 * MIB  # a quarter of a message, so that one slow stream holds little memory
UPLOAD_LIFETIME_S = 24 * 3600  # long enough for a broken line overnight
OPEN_UPLOADS_MAX = 100  # of a project; each may hold 4 GiB for a day
UPLOAD_PART_BYTES = 8 * MIB  # what one row of an upload counts, and what an open stream holds in memory
ROW_BYTES_MAX = 16 * MIB  # one row is held in memory while it is looked at; a book is a few MiB
PARQUET_UNFOLDING_MAX = 200  # times its size; compressed text is a tenth, one that repeats its instructions a fiftieth
PARQUET_UNFOLDED_BYTES_MIN = 64 * MIB  # may always be: what a few seconds of reading hold
PARQUET_UNFOLDED_BYTES_MAX = UPLOAD_BYTES_MAX  # the same rows as JSONL could not be uploaded either
BAD_ROWS_SHOWN_MAX = 100  # of one refusal, each with its number and field
DUPLICATE_ROWS_SHOWN_MAX = 20  # examples, to look at
ROWS_MAX = 20_000_000  # 12 bytes a row are held to find duplicates: 240 MB
MESSAGES_MAX = 10_000  # turns of one conversation
MODEL_FILES_MAX = 1000  # members of an archive; the largest published models have some 200
VALIDATION_FRACTION_MIN = 0.001
VALIDATION_FRACTION_MAX = 0.5  # more validation than training is a mistake
VALIDATION_FRACTION_DEFAULT = 0.05

# Architecture
LAYERS_MAX = 128  # Llama 3 405B has 126
WIDTH_MIN = 8
WIDTH_MAX = 16384  # Llama 3 405B has exactly this
HEADS_MAX = 128  # as Llama 3 405B
FEED_FORWARD_WIDTH_MIN = 8
FEED_FORWARD_WIDTH_MAX = 65536  # four times the widest model
CONTEXT_LENGTH_MIN = 8
CONTEXT_LENGTH_MAX = 32768  # attention is quadratic in it
ROTARY_BASE_MIN = 1.0
ROTARY_BASE_MAX = 1e9  # the largest published is 5e7
PARAMETERS_MAX = 20_000_000_000  # 320 GB of training state: more than any one worker here holds

# Tokenizer
BYTE_VOCABULARY_SIZE = 257  # 256 bytes and one end-of-text
BPE_VOCABULARY_SIZE_MIN = 258  # bytes, end-of-text and one merge
BPE_VOCABULARY_SIZE_MAX = 131072  # 2^17, as the largest in use
BPE_VOCABULARY_SIZE_DEFAULT = 4096
TOKENIZER_FILE_BYTES_MAX = 64 * MIB  # Gemma's, with 262,144 tokens, has 33 MB; it is read whole
TOKENIZER_FILE_VALUES_MAX = 4_000_000  # Gemma's has 2 million; each takes up to 80 bytes of memory while it is read

# Data
MIXTURE_PARTS_MAX = 15  # with the first dataset 16, each an open file of the trainer
MIXTURE_WEIGHT_MAX = 1000.0  # beyond, the first dataset is hardly seen at all
CHAT_TEMPLATE_CHARACTERS_MAX = 20_000  # the longest in use have some 12,000

# A run
STEPS_MAX = 10_000_000  # four months at one step a second
BATCH_SIZE_MAX = 65536
TOKENS_PER_STEP_MAX = 2**26  # 64 Mi tokens, four times the largest published batch
LEARNING_RATE_MAX = 1.0
LEARNING_RATE_UNUSUAL_ADAM = 0.1  # every weight moves by about this much a step, and most are smaller
LEARNING_RATE_UNUSUAL_LOW = 1e-7  # fp32 weights of the usual size hardly change
LEARNING_RATE_UNUSUAL_LOW_SGD = 1e-2  # gradients are clipped to a norm of 1, spread over all weights
LEARNING_RATE_TIMES_MUON = 5.0  # that of AdamW: measured on small models, and of the size of Jordan 2024 on large ones
LEARNING_RATE_TIMES_ADAFACTOR = 25.0  # likewise: its rate is a share of the size of a weight, which is 0.02 at first
FINAL_LEARNING_RATE_RATIO_DEFAULT = 0.1
WEIGHT_DECAY_DEFAULT = 0.1  # as GPT-3 and Llama
CLIP_NORM_DEFAULT = 1.0
BETA1_DEFAULT = 0.9
BETA2_DEFAULT = 0.95  # as GPT-3 and Llama
BETA2_RMSPROP_DEFAULT = 0.99  # as torch
EPSILON_DEFAULT = 1e-8
MOMENTUM_SGD_DEFAULT = 0.9
MOMENTUM_MUON_DEFAULT = 0.95  # as Jordan 2024
DECAY_RATIO_DEFAULT = 0.2  # Haegele et al. 2024, arXiv 2405.18392: 10 to 20 % is as good as a cosine
EARLY_STOPPING_PATIENCE_MAX = 1000
EARLY_STOPPING_MIN_DELTA_MAX = 10.0  # nats; ln of the largest vocabulary is 12
SEED_MAX = 2**32 - 1  # uint32 on the wire
EVALUATION_SEQUENCES_MAX = 100_000
EVALUATION_SEQUENCES_DEFAULT = 64
SAMPLE_PROMPT_CHARACTERS_MAX = 2000
SAMPLE_TOKENS_MAX = 1000  # drawn while training waits
SAMPLE_TOKENS_DEFAULT = 100

# Fine-tuning
FINE_TUNE_STEPS_DEFAULT = 200
FINE_TUNE_BATCH_SIZE_DEFAULT = 8
FINE_TUNE_LEARNING_RATE_DEFAULT = 1e-4
FINE_TUNE_LORA_LEARNING_RATE_DEFAULT = 2e-4  # Biderman et al. 2024, arXiv 2405.09673: adapters want more than weights
FINE_TUNE_CONTEXT_LENGTH_MAX_DEFAULT = 2048  # rows are mostly shorter, and memory grows with it
LORA_RANK_MAX = 1024
LORA_RANK_DEFAULT = 16
LORA_ALPHA_MAX = 4096.0  # twice the largest rank, and twice that

# Reviews and feedback
OVERLAP_MAX = 20  # votes of one item; agreement is known well before
SEAT_SECONDS_MIN = 30  # shorter, and seats are lost while a person reads
SEAT_SECONDS_MAX = 86400  # a day: longer, and an item waits for somebody who has left
SEAT_SECONDS_DEFAULT = 600
SEATS_MAX = 10  # of one reviewer in one review: what a tool fetches ahead
REPEAT_SHARE_MAX = 0.5  # half of the work twice is plenty
REPEAT_AFTER_VOTES = 10  # so many votes lie between an item and its repetition, or people remember
ITEMS_LEFT_EXACT_MAX = 200  # near the end a reviewer looks at the number
ITEMS_LEFT_COUNTED_MAX = 1000  # beyond, nobody cares how many, and counting takes time
GUIDELINES_CHARACTERS_MAX = 20_000  # some ten pages
RUBRIC_QUESTIONS_MAX = 10  # each is asked of each item
RUBRIC_KEY_CHARACTERS_MAX = 63  # like an id
RUBRIC_DESCRIPTION_CHARACTERS_MAX = 500  # a question, no guidelines
REVIEWERS_MAX = 1000  # as many as a project has keys
RATING_MAX = 9  # as digits on a keyboard
STRENGTH_MAX = 4  # negligibly, slightly, clearly, far
RATIONALE_CHARACTERS_MAX = 10_000  # five pages
ANSWER_CHARACTERS_MAX = 100_000  # of a candidate, a correction, a text prompt: several times the longest context
PROMPT_TURNS_MAX = 100  # of a conversation that is judged
CANDIDATES_MAX = 10  # that a person can put in order
END_USER_CHARACTERS_MAX = 128  # a pseudonym
ACTIVE_SECONDS_MAX = 86400.0  # nobody thinks longer than a day about one item
RETRACTION_REASON_CHARACTERS_MAX = 1000  # a paragraph

# Feedback sets
FROZEN_VOTES_MAX = 200_000  # of one set: twice the largest review; to read them takes a minute
FROZEN_SOURCES_MAX = 100  # reviews and applications behind one set; a person has chosen each
DERIVED_PAIRS_MAX = 100  # of one prompt, from its good and bad answers; 1000 of each would make a million
GOOD_RATING_MIN = 2
GOOD_RATING_DEFAULT = 7  # the upper third of the ratings
BAD_RATING_DEFAULT = 3  # the lower third
VALIDATION_SHARE_DEFAULT = 0.1
VALIDATION_SHARE_MAX = 0.5  # more validation than training is a mistake

# Preferences
# The loss of a whole answer moves all of its tokens at once, so preferences want a hundredth of the rate of examples:
# Rafailov et al. 2023, arXiv 2305.18290, appendix B, and Shao et al. 2024, arXiv 2402.03300, section 4.2, take 1e-6.
# Adapters take ten times the rate of weights: Schulman and Thinking Machines 2025, LoRA without regret. A model of few
# million weights takes ten to a hundred times as much: give it the rate that suits it.
PREFERENCE_LEARNING_RATE_DEFAULT = 1e-6
PREFERENCE_LORA_LEARNING_RATE_DEFAULT = 1e-5
ORPO_LEARNING_RATE_DEFAULT = 8e-6  # Hong et al. 2024, arXiv 2403.07691, section 5: it learns the chosen answer, too
ORPO_LORA_LEARNING_RATE_DEFAULT = 8e-5
REWARD_LEARNING_RATE_DEFAULT = 1e-5  # Ouyang et al. 2022, arXiv 2203.02155, appendix C.2: 9e-6; the head is new
REWARD_LORA_LEARNING_RATE_DEFAULT = 1e-4
BETA_PREFERENCE_DEFAULT = 0.1  # as in the papers of DPO, KTO and ORPO
BETA_SIMPO_DEFAULT = 2.0  # Meng et al. 2024, arXiv 2405.14734, section 4: of means, not of sums
MARGIN_DEFAULT = 0.5  # as there
KL_WEIGHT_DEFAULT = 0.04  # as in the paper of GRPO
CLIP_RATIO_DEFAULT = 0.2  # Schulman et al. 2017, arXiv 1707.06347, table 3
PREFERENCE_WEIGHT_MAX = 100.0  # of beta and of the weights of a loss; beyond, nothing else counts
LABEL_SMOOTHING_MAX = 0.5  # half of the pairs the wrong way round says nothing any more; excluded
GROUP_SIZE_MIN = 2  # one answer has nothing to be compared with
GROUP_SIZE_MAX = 64  # as in the paper of GRPO
GROUP_SIZE_DEFAULT = 8
GRPO_TOKENS_DEFAULT = 64
GRPO_UPDATES_MAX = 16  # beyond, the answers are no longer those of the model that learns

# Drawing
DRAW_MODELS_MAX = 8  # all of them are held in memory at once
DRAW_SAMPLES_MAX = 16  # of each model to each prompt; a person compares fewer
DRAW_PROMPTS_MAX = 100_000  # items of one review
DRAW_TOKENS_MAX = 4096  # of one answer
DRAW_TOKENS_DEFAULT = 100
DRAW_TEMPERATURE_MAX = 10.0  # nearly uniform over 100,000 tokens
DRAW_TEMPERATURE_DEFAULT = 0.8
DRAW_TOP_K_MAX = 262_144  # the largest vocabulary in use
DRAW_STOPS_MAX = 8
DRAW_STOP_CHARACTERS_MAX = 100
CHECKER_ARGUMENT_CHARACTERS_MAX = 1000  # a paragraph
CHECKS_MAX = 100  # of one row
ROW_WEIGHT_MAX = 1000.0  # beyond, the other rows of a batch hardly count

# Duels, aliases and lineage
ERROR_RATE_MIN = 0.001
ERROR_RATE_MAX = 0.2  # one wrong verdict in five is no verdict
ERROR_RATE_DEFAULT = 0.05
REASON_CHARACTERS_MAX = 1000  # a paragraph
ALIASES_MAX = 100  # of a model; they are listed without pages
ALIAS_MOVES_SHOWN_MAX = 100  # the newest; all of them are kept
LINEAGE_NODES_MAX = 2000  # of one answer; more than anybody reads, and below the 4 MiB of one message

# Jobs
OPEN_JOBS_MAX_DEFAULT = 1000  # of a project; bounds what one tenant can make the claim look through
RUNNING_JOBS_MAX_DEFAULT = 100  # of a project
REQUESTS_PER_SECOND_DEFAULT = 50.0  # of a project, averaged
STREAMS_MAX_DEFAULT = 1000  # of a project, on one gateway; an open watch costs the house some 40 KiB
API_KEYS_MAX = 1000  # of a project, revoked ones not counted; a page shows them all
FACTS_MAX = 1000  # of one report: 1000 facts of at most 4 KiB stay below 4 MiB
FACT_TEXT_CHARACTERS_MAX = 20_000  # of a sample or a note; a report must stay below 4 MiB
METRIC_VALUES_MAX = 64  # keys of one step
BLAMED_ROWS_MAX = 20  # of one look: a person reads that many
BLAMED_EXCERPT_CHARACTERS_MAX = 200  # two lines of a table
VERIFIED_STEPS_MAX = 40_000  # from the checkpoint on; 40,000 steps of 90 bytes stay below the 4 MiB of one message
VERIFIED_STEPS_DEFAULT = 10
FILE_CHUNK_BYTES = 1 * MIB  # of one message of a file that is read
NO_PROGRESS_ATTEMPTS_MAX = 3  # attempts in a row without a newer checkpoint (NVRx uses the same number)
INTERRUPTIONS_MAX = 100  # one every 3 hours for 12 days, the rate of Llama 3's cluster on one machine
HOST_OUT_OF_MEMORY_RETRIES_MAX = 1  # a neighbour may have caused the first
BACKOFF_FIRST_S = 5.0
BACKOFF_MAX_S = 300.0
BACKOFF_JITTER = 0.2  # a shared cause must not make all jobs return at once
LOST_LEASE_BACKOFF_S = 1.0  # the lease was the wait
DRAINED_BACKOFF_S = 1.0  # time for the worker to leave
CHECKPOINTS_KEPT = 3  # two of them may be corrupt
CHECKPOINT_INTERVAL_MIN_DEFAULT = 10
CHECKPOINT_INTERVAL_MAX_DEFAULT = 1000
WARMUP_STEPS_MAX_DEFAULT = 200
WORKER_FORGOTTEN_S = 24 * 3600  # a worker that is lost stays visible for a day
WORKER_SLOTS_MAX = 1024
BELLS_RELAYED_MAX = 500  # of one round of the relay


@dataclasses.dataclass(frozen=True)
class Shown:
    """A limit that GetServerInfo tells."""

    name: str
    value: float


def shown_limits() -> tuple[Shown, ...]:
    """Return the limits that callers can run into, in lower case."""
    return tuple(
        Shown(name.lower(), float(value))
        for name, value in sorted(globals().items())
        if name.isupper() and isinstance(value, int | float) and name not in ("MIB", "GIB")
    )
