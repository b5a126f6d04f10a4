"""Resource names: people write `plays` or `chat@v3`, the service wants `projects/-/models/chat/versions/3`."""

import re

from tutelage._errors import local_refusal

NUMBERED = re.compile(r"v?([0-9]+)")
# What a short name keeps of a full one, by the collection below the first resource.
PARTS_SHOWN = ("versions", "checkpoints", "items")


def dataset_name(name: str) -> str:
    """Returns the full name of a dataset; `projects/-` means the project of the caller's key."""
    return full_name(name, collection="datasets")


def job_name(name: str) -> str:
    """Returns the full name of a job."""
    return full_name(name, collection="jobs")


def model_name(name: str) -> str:
    """Returns the full name of a model, of a version (`chat@v3`, `chat/versions/3`), or of an alias (`chat@prod`)."""
    model, at, handle = name.partition("@")
    return full_name(f"{model}/{below_model(name, handle)}" if at else name, collection="models")


def below_model(name: str, handle: str) -> str:
    """Returns what a handle means: `v3` the third version, `latest` the newest, all else an alias."""
    if not handle:
        raise local_refusal("model", f"{name!r} names no version: write MODEL@v3, MODEL@latest, or MODEL@prod")
    if (number := NUMBERED.fullmatch(handle)) is not None:
        return f"versions/{number[1]}"
    return "versions/latest" if handle == "latest" else f"aliases/{handle}"


def model_version_name(name: str, *, version: int | str | None) -> str:
    """Returns the full name of a version or of an alias; without one, that of the newest version."""
    full = model_name(name)
    if version is None and ("/versions/" in full or "/aliases/" in full):
        return full
    return f"{full}/versions/{'latest' if version is None else version}"


def base_name(name: str) -> str:
    """Returns the full name of what fine-tuning begins with: a model, a version, or `JOB/checkpoints/STEP`."""
    return job_name(name) if "/checkpoints/" in name else model_name(name)


def alias_name(name: str) -> str:
    """Returns the full name of an alias, `chat@prod`. Raises: InvalidArgument for what is no alias."""
    full = model_name(name)
    if "/aliases/" not in full:
        raise local_refusal("alias", f"{name!r} is no alias: write MODEL@prod")
    return full


def key_name(name: str) -> str:
    """Returns the full name of an API key."""
    return full_name(name, collection="apiKeys")


def review_name(name: str) -> str:
    """Returns the full name of a review, or of one of its items (`helpfulness/items/3`) or seats."""
    return full_name(name, collection="reviews")


def vote_name(name: str) -> str:
    """Returns the full name of a vote."""
    return full_name(name, collection="votes")


def feedback_set_name(name: str) -> str:
    """Returns the full name of a feedback set."""
    return full_name(name, collection="feedbackSets")


def duel_name(name: str) -> str:
    """Returns the full name of a duel."""
    return full_name(name, collection="duels")


def names_of_what(name: str) -> list[str]:
    """Returns the full names that a name may mean where models, feedback sets and datasets are all taken."""
    collection = name.partition("/")[0]
    if name.startswith("projects/"):
        return [model_version_name(name, version=None) if name.count("/") == 3 and "/models/" in name else name]
    if collection in ("datasets", "feedbackSets"):
        return [full_name(name, collection=collection)]
    model = model_version_name(name, version=None)
    return [model] if "@" in name or "/" in name else [model, feedback_set_name(name), dataset_name(name)]


def full_name(name: str, *, collection: str) -> str:
    """Returns a name unchanged if it is full, else below the caller's own project."""
    if name.startswith("projects/"):
        return name
    return f"projects/-/{collection}/{name.removeprefix(collection + '/')}"


def short_name(name: str) -> str:
    """Returns the last part, which people use; for a version, a checkpoint or an item, with what it belongs to."""
    parts = name.split("/")
    return "/".join(parts[3:]) if parts[4:5] and parts[4] in PARTS_SHOWN else parts[-1]


def spoken_name(name: str) -> str:
    """Returns a name as people say it: `chat@v3` for a version, `chat@prod` for an alias, else the short name."""
    parts = name.split("/")
    if parts[4:5] == ["versions"] and len(parts) == 6:
        return f"{parts[3]}@v{parts[5]}" if parts[5].isdigit() else f"{parts[3]}@{parts[5]}"
    if parts[4:5] == ["aliases"] and len(parts) == 6:
        return f"{parts[3]}@{parts[5]}"
    return short_name(name)
