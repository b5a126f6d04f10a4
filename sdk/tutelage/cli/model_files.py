"""`tutelage models import` and `export`: models from elsewhere, and for elsewhere."""

from typing import TYPE_CHECKING

import click

from tutelage.cli._options import complete, output_option, with_client

if TYPE_CHECKING:
    import tutelage

FORMATS = ("hugging-face", "peft", "gguf")


@click.command(name="import")
@click.argument("folder", required=False, type=click.Path(exists=True))
@click.option("--name", required=True, help="Id of the model under which it is published.")
@click.option("--base", default="", shell_complete=complete("models"), help="For adapters: the model they belong to.")
@click.option("--dataset", shell_complete=complete("datasets"), help="Uploaded files, instead of FOLDER.")
@click.option("--watch", is_flag=True, help="Follow the job until it is over.")
@output_option
@with_client
def import_model(
    client: "tutelage.Client", folder: str | None, name: str, base: str, dataset: str | None, watch: bool, output: str
) -> None:
    """Bring a model from elsewhere: Llama, Qwen, Mistral or Gemma, or adapters of one.

    FOLDER is as `transformers` saves a model (config.json, .safetensors, tokenizer.json), or as `peft` saves adapters
    (adapter_config.json, adapter_model.safetensors), or an uncompressed .tar of such files. Pickle files are refused.

    \b
    Example:
      tutelage models import ./SmolLM2-135M-Instruct --name smol --watch
      tutelage models import ./my-adapters --name smol-poet --base smol
    """
    from tutelage.cli._progress import progress_of, told_how_to_go_on

    if (folder is None) == (dataset is None):
        raise click.UsageError("give either FOLDER or --dataset")
    source = client.datasets.get(dataset) if dataset is not None else folder
    assert source is not None, "one of the two is given"
    with told_how_to_go_on(), progress_of("upload") as on_progress:
        job = client.models.import_model(source, name=name, base=base, on_progress=on_progress)
    if watch:
        from tutelage.cli._watch import watch_job

        watch_job(client, job, output=output)
    else:
        from tutelage.cli._submitting import print_accepted

        print_accepted(job, output=output)


@click.command()
@click.argument("model", shell_complete=complete("models"))
@click.option("--format", type=click.Choice(FORMATS), default=FORMATS[0], show_default=True, help="The form.")
@click.option("--to", "folder", type=click.Path(file_okay=False), help="Wait, and bring the files to this folder.")
@click.option("--overwrite", is_flag=True, help="Replace files of the same names that have other content.")
@output_option
@with_client
def export(
    client: "tutelage.Client", model: str, format: str, folder: str | None, overwrite: bool, output: str
) -> None:
    """Write a model in a form that others read.

    MODEL means its newest version; MODEL/versions/2 means that one. hugging-face is a folder that `transformers` loads,
    peft the adapters of a version that was tuned with --lora, gguf one file for llama.cpp. Without --to only the job is
    submitted; `tutelage jobs download` fetches its files when it is over.

    \b
    Example:
      tutelage models export plays-tiny --to ./plays-tiny
      tutelage models export chat/versions/2 --format gguf --to .
    """
    from tutelage.cli._output import say
    from tutelage.cli._specs import headline
    from tutelage.cli._submitting import print_accepted
    from tutelage.cli.job_files import download_job

    job = client.models.export(model, format=format)  # type: ignore[arg-type]
    if folder is None:
        print_accepted(job, output=output)
        return
    say(headline(job.info))
    job.wait().raise_unless_succeeded()
    download_job(job, folder, overwrite=overwrite, output=output)
