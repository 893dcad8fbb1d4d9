"""Who may import whom, read off the syntax trees; and that the house is kept in rooms of a fair size."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
ORDER = [
    "errors",
    "units",
    "records",
    "config",
    "selection",
    "storage",
    "text",
    "web",
    "media",
    "models",
    "stage",
    "registry",
    "engine",
    "removal",
    "cluster",
    "exporters",
    "report",
    "browse",
    "cli",
]
# Packages that only one room (or module) may name, anywhere in its code, and those that must not be imported at module level.
DOORS = {
    "ray": ("internvid_pipeline/engine/ray/", "internvid_pipeline/engine/metrics.py", "internvid_pipeline/cluster/"),
    "torch": ("internvid_pipeline/models/", "internvid_pipeline/cli/checks.py"),
    "torchvision": ("internvid_pipeline/models/",),
    "transformers": ("internvid_pipeline/models/",),
    "open_clip": ("internvid_pipeline/models/",),
    "faster_whisper": ("internvid_pipeline/models/",),
    "vllm": ("internvid_pipeline/models/",),
    "av": ("internvid_pipeline/media/",),
    "scenedetect": ("internvid_pipeline/media/",),
    "ffmpeg": ("internvid_pipeline/media/",),
    "matplotlib": ("internvid_pipeline/report/draw.py",),
    "starlette": ("internvid_pipeline/browse/",),
    "uvicorn": ("internvid_pipeline/browse/",),
    "yaml": ("internvid_pipeline/config/",),
    "faiss": ("internvid_pipeline/selection/faiss_door.py",),
    "yt_dlp": ("internvid_pipeline/web/", "internvid_pipeline/cli/checks.py"),
}
LAZY = (
    "ray",
    "torch",
    "torchvision",
    "transformers",
    "open_clip",
    "faster_whisper",
    "vllm",
    "yt_dlp",
    "datasets",
    "webdataset",
    "duckdb",
    "faiss",
    "matplotlib",
    "uvicorn",
)
MOST_MODULE_LINES = 500
MOST_FUNCTION_LINES = 60


def sources() -> list[Path]:
    return sorted([*(REPO / "internvid_pipeline").rglob("*.py"), *(REPO / "stages").glob("*.py")])


def relative(path: Path) -> str:
    return path.relative_to(REPO).as_posix()


def imports(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Every imported module's dotted name, and whether the import stands at module level."""
    top = {id(node) for node in ast.iter_child_nodes(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, id(node) in top
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module, id(node) in top
            for name in node.names:
                yield f"{node.module}.{name.name}", id(node) in top


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "internvid_pipeline" and len(parts) > 1 and parts[1] in ORDER else None


def test_there_is_something_to_check():
    assert len(sources()) > 40
    assert {path.parent.name for path in sources()} >= {
        "records",
        "config",
        "selection",
        "storage",
        "text",
        "web",
        "media",
        "models",
        "engine",
        "cli",
        "stages",
    }


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_imports_go_one_way(path: Path):
    own = room_of(relative(path).removesuffix(".py").replace("/", "."))
    wrong = []
    for module, _ in imports(ast.parse(path.read_text())):
        other = room_of(module)
        if own and other and ORDER.index(other) > ORDER.index(own):
            wrong.append(module)
        if own != "registry" and module.split(".")[0] == "stages":
            wrong.append(module)
        if own is None and path.parent.name == "stages" and other and ORDER.index(other) > ORDER.index("stage"):
            wrong.append(module)
    assert not wrong, f"{relative(path)} imports {wrong}, which come after it in {' < '.join(ORDER)} (only the registry loads stages)"


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_each_package_has_one_door(path: Path):
    wrong = []
    for module, at_top in imports(ast.parse(path.read_text())):
        package = module.split(".")[0]
        if package in DOORS and not relative(path).startswith(DOORS[package]):
            wrong.append(f"{module} (only in {', '.join(DOORS[package])})")
        if package in LAZY and at_top:
            wrong.append(f"{module} (heavy or optional: import it inside the function that needs it)")
    assert not wrong, f"{relative(path)}: {wrong}"


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_rooms_are_of_a_fair_size(path: Path):
    text = path.read_text()
    assert text.count("\n") <= MOST_MODULE_LINES, f"{relative(path)} is too long to read: cut it"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MOST_FUNCTION_LINES, f"{relative(path)}:{node.lineno} {node.name} has {lines} lines"


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_files_of_the_data_set_are_written_by_storage_alone(path: Path):
    """No other room opens files for writing, but for stages, media, web and vectors that are compared, which go into scratch folders."""
    if relative(path).startswith(
        (
            "internvid_pipeline/storage/",
            "internvid_pipeline/web/",
            "internvid_pipeline/media/",
            "stages/",
            "internvid_pipeline/models/tiny",
            "internvid_pipeline/selection/clip_vectors.py",
        )
    ):
        return
    wrong = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            modes = [
                part.value
                for part in [*node.args[1:2], *(key.value for key in node.keywords if key.arg == "mode")]
                if isinstance(part, ast.Constant)
            ]
            writes = name == "open" and any(isinstance(mode, str) and set(mode) & set("wax+") for mode in modes)
            if name in ("write_text", "write_bytes") or (writes and not relative(path).endswith("engine/workers/process.py")):
                wrong.append(f"line {node.lineno}: {name}")
    assert not wrong, f"{relative(path)} writes files itself ({wrong}); storage does that, atomically"


def test_the_rules_can_fail(tmp_path: Path):
    """Each rule is seen to find what it forbids."""
    bad = ast.parse("import torch\nfrom internvid_pipeline.cli import main\nimport stages.cut_clips\n")
    found = dict(imports(bad))
    assert found["torch"] is True
    assert room_of("internvid_pipeline.cli") == "cli" and ORDER.index("cli") > ORDER.index("storage")
    assert "stages.cut_clips" in found
