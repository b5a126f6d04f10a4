"""Nothing in the tree turns bytes into code."""

import ast

import pytest

from tests.architecture import bans, tree


def test_nothing_in_the_tree_turns_bytes_into_code() -> None:
    found = [
        f"{tree.shown(path, line)} {name}"
        for path in tree.python_files()
        for line, name in bans.violations(tree.parsed(path))
        if not (name in bans.MADE_IN_TESTS and path.is_relative_to(tree.ROOT / "tests"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import loads",
        "import marshal",
        "import torch.distributed.checkpoint as dcp",
        "from torch.distributed import checkpoint",
        "from torch import load",
        "torch.load(path, weights_only=True)",
        "torch.jit.load(path)",
        "torch.save(state, path)",
        "yaml.load(text)",
        "eval(text)",
        "exec(text)",
        "subprocess.run(command, shell=True)",
        "subprocess.run(command, shell=flag)",
        "numpy.load(path, allow_pickle=True)",
        "from_pretrained(name, trust_remote_code=True)",
        "zipfile.ZipFile(path).extractall(folder)",
        "tarfile.open(path).extractall(folder)",
        "shutil.unpack_archive(path)",
        "import jinja2",
        "from jinja2 import Environment",
        "from jinja2.environment import Template",
        "os.system(command)",
        "dist.all_gather_object(out, thing)",
        "load = torch.load",
    ],
)
def test_each_ban_is_noticed(source: str) -> None:
    assert list(bans.violations(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()",
        "re.compile(x)",
        "safetensors.torch.load_file(path)",
        "json.load(f)",
        'task(shell="x")',
        "from jinja2.sandbox import ImmutableSandboxedEnvironment",
    ],
)
def test_harmless_names_are_left_alone(source: str) -> None:
    assert not list(bans.violations(ast.parse(source)))
