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
PAGE_SIZE_MAX = 1000  # 1000 jobs of at most 4 KiB stay below the 4 MiB of one message
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

# A run
STEPS_MAX = 10_000_000  # four months at one step a second
BATCH_SIZE_MAX = 65536
TOKENS_PER_STEP_MAX = 2**26  # 64 Mi tokens, four times the largest published batch
LEARNING_RATE_MAX = 1.0
SEED_MAX = 2**32 - 1  # uint32 on the wire
EVALUATION_SEQUENCES_MAX = 100_000
EVALUATION_SEQUENCES_DEFAULT = 64
SAMPLE_PROMPT_CHARACTERS_MAX = 2000
SAMPLE_TOKENS_MAX = 1000  # drawn while training waits
SAMPLE_TOKENS_DEFAULT = 100

# Jobs
OPEN_JOBS_MAX_DEFAULT = 1000  # of a project; bounds what one tenant can make the claim look through
RUNNING_JOBS_MAX_DEFAULT = 100  # of a project
REQUESTS_PER_SECOND_DEFAULT = 50.0  # of a project, averaged
STREAMS_MAX_DEFAULT = 1000  # of a project, on one gateway; an open watch costs the house some 40 KiB
API_KEYS_MAX = 1000  # of a project, revoked ones not counted; a page shows them all
FACTS_MAX = 1000  # of one report: 1000 facts of at most 4 KiB stay below 4 MiB
FACT_TEXT_CHARACTERS_MAX = 20_000  # of a sample or a note; a report must stay below 4 MiB
METRIC_VALUES_MAX = 64  # keys of one step
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
