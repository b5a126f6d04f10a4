# Generated from tutelage/_async/models.py by sdk/generate_sync.py; change it there.
# ruff: noqa: UP028

"""Models, and their versions."""

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from tutelage import _blocking as colour
from tutelage._exports import export_format, files_dataset_id, open_model_files
from tutelage._names import alias_name, dataset_name, model_name, model_version_name
from tutelage._sync.job import Job
from tutelage._sync.model_calls import find_lineage, get_version
from tutelage._sync.model_version import ModelVersion
from tutelage._sync.pages import walk_pages
from tutelage._sync.transport import Transport
from tutelage._sync.upload import ignore, upload_source
from tutelage._values.datasets import Dataset
from tutelage._values.jobs import JobInfo
from tutelage._values.lineage import Lineage
from tutelage._values.models import Alias, Model, ModelVersionInfo
from tutelage.v1 import models_pb2, training_pb2


class Models:
    """What jobs have published, and the way in and out for models of others."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, model: str, *, timeout: float | None = None) -> Model:
        """Returns a model with its newest version. Raises: NotFound."""
        request = models_pb2.GetModelRequest(name=model_name(model))
        return Model.from_message(self._transport.call("Models", "GetModel", request, timeout=timeout))

    def list(self, *, page_size: int = 0, timeout: float | None = None) -> Iterator[Model]:
        """Yields models, most recently published first."""
        request = models_pb2.ListModelsRequest(parent="projects/-", page_size=page_size)
        for message in walk_pages(self._transport, "Models", "ListModels", request, timeout=timeout):
            yield Model.from_message(message)

    def version(self, model: str, *, version: int | str | None = None, timeout: float | None = None) -> ModelVersion:
        """Returns one version, by default the newest, with methods to sample from it. Raises: NotFound."""
        return get_version(self._transport, model, version=version, timeout=timeout)

    def versions(self, model: str, *, page_size: int = 0, timeout: float | None = None) -> Iterator[ModelVersion]:
        """Yields the versions of a model, newest first. Raises: NotFound."""
        request = models_pb2.ListModelVersionsRequest(parent=model_name(model), page_size=page_size)
        for message in walk_pages(self._transport, "Models", "ListModelVersions", request, timeout=timeout):
            yield ModelVersion.from_message(message, _transport=self._transport)

    def promote(
        self,
        model: str | ModelVersionInfo,
        *,
        alias: str = "prod",
        force: bool = False,
        reason: str = "",
        etag: str = "",
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Alias:
        """Moves an alias to a version (`chat@v4`), and makes it if there is none.

        `force`, with a `reason`, moves it against the gate; that is recorded. `etag` is that of the alias as the caller
        knows it. Raises: NotFound, FailedPrecondition (GATE_CLOSED) if a duel, the checks or a retracted vote speak
        against the version, Aborted (ETAG_MISMATCH) if somebody else moved it.
        """
        name = model if isinstance(model, str) else model.name
        request = models_pb2.PromoteModelRequest(
            name=model_version_name(name, version=None),
            alias=alias,
            etag=etag,
            force=force,
            reason=reason,
            request_id=request_id or str(uuid.uuid4()),
        )
        return Alias.from_message(self._transport.call("Models", "PromoteModel", request, timeout=timeout))

    def rollback(
        self,
        alias: str | Alias,
        *,
        reason: str = "",
        etag: str = "",
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Alias:
        """Moves an alias (`chat@prod`) back to the version that it had before.

        Raises: NotFound, FailedPrecondition if it had none, Aborted (ETAG_MISMATCH) if somebody else moved it.
        """
        request = models_pb2.RollBackAliasRequest(
            name=alias_name(alias if isinstance(alias, str) else alias.name),
            reason=reason,
            etag=etag,
            request_id=request_id or str(uuid.uuid4()),
        )
        return Alias.from_message(self._transport.call("Models", "RollBackAlias", request, timeout=timeout))

    def alias(self, alias: str, *, timeout: float | None = None) -> Alias:
        """Returns one alias (`chat@prod`) with its moves, newest first. Raises: NotFound."""
        request = models_pb2.GetAliasRequest(name=alias_name(alias))
        return Alias.from_message(self._transport.call("Models", "GetAlias", request, timeout=timeout))

    def aliases(self, model: str, *, timeout: float | None = None) -> tuple[Alias, ...]:
        """Returns the aliases of a model. Raises: NotFound."""
        request = models_pb2.ListAliasesRequest(parent=model_name(model))
        answer = self._transport.call("Models", "ListAliases", request, timeout=timeout)
        return tuple(Alias.from_message(message) for message in answer.aliases)

    def lineage(self, name: str, *, timeout: float | None = None) -> Lineage:
        """Returns everything that a thing was made of, back to the first dataset, and what was made of it.

        `name` is a version (`chat@v3`), an alias, a model (its newest version), a feedback set or a dataset. Raises:
        NotFound.
        """
        return find_lineage(self._transport, name, timeout=timeout)

    def import_model(
        self,
        source: str | os.PathLike[str] | Dataset,
        *,
        name: str,
        base: str | ModelVersionInfo = "",
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
        on_progress: Callable[[int, int], object] | None = None,
        timeout: float | None = None,
    ) -> Job:
        """Brings a model from elsewhere and returns the job that publishes it as a version of the model `name`.

        `source` is a folder as `transformers` saves it (config.json, safetensors, tokenizer.json) or as `peft` saves
        adapters, an uncompressed .tar of its files, or a dataset that holds them. `base` is the model that adapters
        belong to. The files are uploaded first, as a dataset; the same upload in another process goes on where it
        broke. Raises: InvalidArgument for a folder without a model or with pickle files only, NotFound for `base`.
        """
        files = source if isinstance(source, Dataset) else self._upload(source, name, on_progress)
        base_version = base if isinstance(base, str) else base.name
        spec = training_pb2.ImportModelSpec(dataset=dataset_name(files.name), model=name)
        spec.base = model_name(base_version) if base_version else ""
        request = models_pb2.ImportModelRequest(
            parent="projects/-", spec=spec, labels=labels or {}, request_id=request_id or str(uuid.uuid4())
        )
        answer = self._transport.call("Models", "ImportModel", request, timeout=timeout)
        return Job(self._transport, JobInfo.from_message(answer))

    def _upload(
        self, source: str | os.PathLike[str], name: str, on_progress: Callable[[int, int], object] | None
    ) -> Dataset:
        opened = colour.in_thread(open_model_files, source)
        try:
            return upload_source(
                self._transport,
                opened,
                dataset_id=files_dataset_id(name, opened.sha256),
                validation_fraction=None,
                on_progress=on_progress or ignore,
                timeout=None,
            )
        finally:
            opened.close()

    def export(
        self,
        model: str | ModelVersionInfo,
        *,
        format: Literal["hugging-face", "peft", "gguf"] = "hugging-face",
        to: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
        on_progress: Callable[[int, int], object] | None = None,
        timeout: float | None = None,
    ) -> Job:
        """Writes a version in a form that others read, and returns the job that does it.

        `hugging-face` is a folder that `transformers` loads, `peft` the adapters of a version that was tuned with LoRA,
        `gguf` one file for llama.cpp. With `to` it waits until the job is over and brings the files to that folder, as
        `job.download` does. Raises: NotFound for the model, InvalidArgument for the form; with `to` JobFailed and
        what `job.download` raises.
        """
        name = model if isinstance(model, str) else model.name
        spec = training_pb2.ExportModelSpec(
            model=model_version_name(name, version=None), format=training_pb2.ExportFormat.Value(export_format(format))
        )
        request = models_pb2.ExportModelRequest(
            parent="projects/-", spec=spec, labels=labels or {}, request_id=request_id or str(uuid.uuid4())
        )
        answer = self._transport.call("Models", "ExportModel", request, timeout=timeout)
        job = Job(self._transport, JobInfo.from_message(answer))
        if to is not None:
            (job.wait()).raise_unless_succeeded()
            job.download(to, overwrite=overwrite, on_progress=on_progress)
        return job
