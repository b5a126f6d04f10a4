"""Resource names: people write `plays`, the service wants `projects/-/datasets/plays`."""


def dataset_name(name: str) -> str:
    """Returns the full name of a dataset; `projects/-` means the project of the caller's key."""
    return full_name(name, collection="datasets")


def job_name(name: str) -> str:
    """Returns the full name of a job."""
    return full_name(name, collection="jobs")


def model_name(name: str) -> str:
    """Returns the full name of a model, or of one of its versions (`plays-tiny/versions/2`)."""
    return full_name(name, collection="models")


def model_version_name(name: str, *, version: int | str | None) -> str:
    """Returns the full name of a version; without one, that of the newest."""
    full = model_name(name)
    if version is None and "/versions/" in full:
        return full
    return f"{full}/versions/{'latest' if version is None else version}"


def base_name(name: str) -> str:
    """Returns the full name of what fine-tuning begins with: a model, a version, or `JOB/checkpoints/STEP`."""
    return job_name(name) if "/checkpoints/" in name else model_name(name)


def key_name(name: str) -> str:
    """Returns the full name of an API key."""
    return full_name(name, collection="apiKeys")


def full_name(name: str, *, collection: str) -> str:
    """Returns a name unchanged if it is full, else below the caller's own project."""
    if name.startswith("projects/"):
        return name
    return f"projects/-/{collection}/{name.removeprefix(collection + '/')}"


def short_name(name: str) -> str:
    """Returns the last part, which people use; for a version, with its model; for a checkpoint, with its job."""
    parts = name.split("/")
    return "/".join(parts[3:]) if parts[4:5] in (["versions"], ["checkpoints"]) else parts[-1]
