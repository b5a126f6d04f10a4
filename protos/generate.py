"""Generates the committed Python stubs from the .proto files.

Run with `make stubs`. The generator pins protobuf below 7, which the servers do not, so it lives in an environment of
its own. The public language lands in sdk/tutelage/v1, the internal one in tutelage_internal/v1: proto path = Python
path, so nothing in the generated imports is rewritten.
"""

import argparse
import pathlib
import subprocess
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
REQUIREMENTS = [
    "grpcio-tools==1.76.0",
    "grpcio==1.76.0",
    "mypy-protobuf==5.1.0",
    "googleapis-common-protos==1.76.0",
    "setuptools<81",
]


def main() -> None:
    """Writes the stubs below --out (default: the repository itself)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT, help="root of the tree to write into")
    parser.add_argument("--environment", type=pathlib.Path, default=ROOT / ".venv-stubs", help="where its tools live")
    parser.add_argument("--descriptor-set", type=pathlib.Path, help="also write a descriptor set with comments there")
    arguments = parser.parse_args()
    python = prepare_environment(arguments.environment)
    generate(python, "tutelage", arguments.out / "sdk")
    generate(python, "tutelage_internal", arguments.out)
    if arguments.descriptor_set:
        describe(python, arguments.descriptor_set)


def prepare_environment(environment: pathlib.Path) -> pathlib.Path:
    """Returns the interpreter of the generator's environment, made if it is not there or pins have changed."""
    python = environment / "bin" / "python"
    stamp = environment / "requirements.txt"
    wanted = "\n".join(REQUIREMENTS)
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(environment, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
        stamp.write_text(wanted)
    return python


def generate(python: pathlib.Path, package: str, out: pathlib.Path) -> None:
    """Runs protoc for one package: messages, services and types for both."""
    out.mkdir(parents=True, exist_ok=True)
    plugins = [f"--plugin=protoc-gen-{name}={python.parent}/protoc-gen-{name}" for name in ("mypy", "mypy_grpc")]
    outputs = [f"--{kind}_out={out}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    subprocess.run([*protoc(python), *plugins, *outputs, *sources(package)], check=True)
    remove_empty_services(out / package / "v1")


def describe(python: pathlib.Path, path: pathlib.Path) -> None:
    """Writes a descriptor set of all packages, comments included, for lint, breaking-change checks and docs."""
    flags = ["--include_imports", "--include_source_info", f"--descriptor_set_out={path}"]
    subprocess.run([*protoc(python), *flags, *sources("tutelage"), *sources("tutelage_internal")], check=True)


def protoc(python: pathlib.Path) -> list[str]:
    """Returns the command, with the folder of google/api on its path."""
    where = "import google.api, pathlib; print(pathlib.Path(google.api.__path__[0]).parent.parent)"
    site = subprocess.run([python, "-c", where], check=True, capture_output=True, text=True).stdout.strip()
    return [str(python), "-m", "grpc_tools.protoc", f"-I{ROOT / 'protos'}", f"-I{site}"]


def sources(package: str) -> list[str]:
    """Returns the .proto files of a package in a fixed order."""
    return sorted(str(path) for path in (ROOT / "protos" / package).rglob("*.proto"))


def remove_empty_services(folder: pathlib.Path) -> None:
    """Removes the service stubs of files that define no service, and makes the folder a package."""
    for path in folder.glob("*_pb2_grpc.py"):
        if "class " not in path.read_text():
            path.unlink()
            path.with_suffix(".pyi").unlink(missing_ok=True)
    (folder / "__init__.py").touch()


if __name__ == "__main__":
    main()
