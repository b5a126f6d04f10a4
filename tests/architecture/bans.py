"""Finds what turns bytes into code, in a syntax tree."""

import ast
from collections.abc import Iterator

MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jinja2"}
SANDBOXED = {"jinja2.debug", "jinja2.exceptions", "jinja2.ext", "jinja2.nodes", "jinja2.parser", "jinja2.sandbox"}
MODULES |= {"torch.distributed.checkpoint", "torch.hub", "torch.package"}
CALLS = {
    ("yaml", "load"),
    ("yaml", "unsafe_load"),
    ("yaml", "full_load"),
    ("torch", "load"),
    ("torch", "save"),
    ("jit", "load"),
    ("export", "load"),
    ("hub", "load"),
    ("os", "system"),
    ("os", "popen"),
    ("subprocess", "getoutput"),
    ("subprocess", "getstatusoutput"),
    ("distributed", "checkpoint"),
    ("multiprocessing", "Pipe"),
    ("multiprocessing", "Queue"),
}
ATTRIBUTES = {
    "extractall",
    "unpack_archive",
    "all_gather_object",
    "broadcast_object_list",
    "scatter_object_list",
}
# Tests make by hand what the product must refuse.
MADE_IN_TESTS = {"pickle", "torch.save"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
KEYWORDS = {"allow_pickle", "trust_remote_code", "shell"}


def violations(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yields the line and the name of each banned thing."""
    for node in ast.walk(tree):
        for name in _names(node):
            yield getattr(node, "lineno", 0), name


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if _is_banned_module(alias.name))
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        whole = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        yield from (name for name in whole if _is_banned_module(name))
        pairs = ((module.rpartition(".")[2], alias.name) for alias in node.names)
        yield from (".".join(pair) for pair in pairs if pair in CALLS)
    elif isinstance(node, ast.Attribute):
        yield from _attribute(node)
    elif isinstance(node, ast.Call):
        yield from _call(node)


def _attribute(node: ast.Attribute) -> Iterator[str]:
    if node.attr in ATTRIBUTES:
        yield node.attr
    owner = node.value
    name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
    if (name, node.attr) in CALLS:
        yield f"{name}.{node.attr}"


def _call(node: ast.Call) -> Iterator[str]:
    if isinstance(node.func, ast.Name) and node.func.id in BUILTINS:
        yield node.func.id
    for keyword in node.keywords:
        harmless = isinstance(keyword.value, ast.Constant) and not isinstance(keyword.value.value, int | float)
        false = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        if keyword.arg in KEYWORDS and not (harmless or false):
            yield f"{keyword.arg}="


def _is_banned_module(name: str) -> bool:
    allowed = any(name == harmless or name.startswith(f"{harmless}.") for harmless in SANDBOXED)
    return not allowed and any(name == banned or name.startswith(f"{banned}.") for banned in MODULES)
