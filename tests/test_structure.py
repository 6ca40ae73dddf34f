"""The shape of the package: one-way imports, sizes, names, light starts."""

import ast
import graphlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "textmix"
MODULES = sorted(PACKAGE.rglob("*.py"))

ORDER = [
    "errors", "files", "config", "options", "command", "predictions", "metrics", "temperature", "inference", "ood",
    "figures", "run_files", "report", "data", "models", "losses", "mixup", "engine", "export", "run_folder", "held_out",
    "outcome", "predict", "evaluate", "doctor", "train", "trainer", "sweep", "tune", "cli",
]  # fmt: skip
"""From the ground up: a module imports only modules that stand before its own."""


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Return the modules of this package that a file imports, at its top or within functions."""
    known = {dotted(module) for module in MODULES}
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            # From a folder comes either one of its files or a name that its __init__ gathers.
            for alias in node.names:
                file = f"{node.module}.{alias.name}"
                found.add(file if file in known else node.module)
    return (found & known) - {"textmix", dotted(path)}


def top(module: str) -> str:
    return module.split(".")[1]


def test_every_module_has_its_place():
    assert {top(dotted(path)) for path in MODULES if dotted(path) != "textmix"} <= set(ORDER)


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_go_one_way(path):
    if path == PACKAGE / "__init__.py":
        return
    own = top(dotted(path))
    upward = {name for name in imports(path) if ORDER.index(top(name)) > ORDER.index(own)}
    assert not upward, f"{dotted(path)} imports {sorted(upward)}, which stand above it"


def test_imports_have_no_circle():
    # A folder's __init__ gathers its files, so a file that imports from its own folder's __init__ would be a circle.
    graphlib.TopologicalSorter({dotted(path): imports(path) for path in MODULES}).prepare()


def test_names_shadow_nothing():
    """Launched by path, textmix/ itself is first on the path: its files must not hide a library's."""
    ours = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    installed = set(importlib.metadata.packages_distributions())
    assert not ours & (set(sys.stdlib_module_names) | installed)


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_files_and_functions_stay_short(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 330
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            documented = ast.get_docstring(node) is not None
            first = node.body[1 if documented and len(node.body) > 1 else 0]
            length = (node.end_lineno or 0) - first.lineno + 1
            assert length <= 45, f"{path.name}:{node.lineno} {node.name} has {length} lines"


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: path.stem)
def test_files_of_tests_stay_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 330


ABOUT_THE_WHOLE = {
    "structure", "readme", "configs", "quickstart", "bad_input", "fuzz", "security", "examples", "bench", "pages",
}  # fmt: skip
ABOUT_A_FOLDER = {
    "engine": {"processes", "waiting"}, "mixup": {"families", "laws", "training"}, "models": {"image_backbones"},
    "report": {"browser"},
}  # fmt: skip


def test_the_tests_mirror_the_package():
    """A file of tests is one module of the package, or it is about a folder, or about the whole."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        folder, name = path.relative_to(ROOT / "tests").parent, path.stem.removeprefix("test_").removesuffix("_use")
        if {folder.name, name} & ABOUT_THE_WHOLE or name in ABOUT_A_FOLDER.get(folder.as_posix(), set()):
            continue
        assert (PACKAGE / folder / f"{name}.py").exists() or (PACKAGE / folder / name).is_dir(), path


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import textmix", "torch numpy transformers datasets accelerate matplotlib"),
        ("import textmix.metrics", "transformers datasets accelerate matplotlib"),
        ("import textmix.temperature, textmix.inference, textmix.ood", "transformers datasets accelerate matplotlib"),
        ("import textmix.report, textmix.figures", "transformers datasets accelerate"),
        ("import textmix.models", "datasets matplotlib"),
        ("import textmix.losses", "transformers datasets accelerate matplotlib"),
        ("import textmix.engine", "scipy.stats matplotlib"),
    ],
)
def test_imports_stay_light(statement, forbidden):
    check = f"import sys; {statement}; sys.exit(' '.join(set({forbidden.split()!r}) & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_public_names_are_there():
    import textmix

    promised = (
        "Mixup MixupConfig Mix draw MixupTrainer soft_cross_entropy CalibrationState ece oe fit_temperature compare"
    )
    assert set(promised.split()) <= set(textmix.__all__)
    for name in textmix.__all__:
        assert getattr(textmix, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = textmix.nothing


def test_one_version():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"version: {project['version']}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert importlib.metadata.version("textmix") == project["version"]
