"""Builds a plugin:  python -m pelton_sdk.build PLUGIN.py OUT.wasm

The world is made of what the plugin derives from and imports, so that it is granted no more than it uses.
"""

from __future__ import annotations

import ast
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .kinds import kind_of, plugin_of

GRANTS = ("log", "metrics", "state", "emit", "clock", "random")


def granted(source: Path, seen: set[Path] | None = None) -> set[str]:
    """The host's interfaces that a plugin names, in its own file and in those beside it that it imports."""
    seen = seen if seen is not None else set()
    if source in seen or not source.exists():
        return set()
    seen.add(source)
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(), str(source))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            head, _, tail = name.partition(".")
            if head == "pelton_sdk":
                found |= {grant for grant in GRANTS if tail.split(".")[0] == grant}
            else:
                found |= granted(source.parent / f"{name.replace('.', '/')}.py", seen)
    return found


def contract() -> Path:
    """`plugin.wit`: beside the package in a project of its own, beside the SDK's folder in the repository."""
    here = Path(__file__).parents[1]
    return next(path for path in (here / "wit/plugin.wit", here.parent / "wit/plugin.wit") if path.exists())


def main() -> int:
    """The command."""
    if len(sys.argv) != 3:
        print("usage: python -m pelton_sdk.build PLUGIN.py OUT.wasm", file=sys.stderr)
        return 2
    source, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    tool = Path(sys.executable).parent / "componentize-py"
    tool = tool if tool.exists() else Path(shutil.which("componentize-py") or "")
    if not tool.is_file():
        print("componentize-py is missing; run: pip install componentize-py==0.25.1", file=sys.stderr)
        return 1
    sys.path.insert(0, str(source.parent))
    spec = importlib.util.spec_from_file_location(source.stem, source)
    module = importlib.util.module_from_spec(spec)
    sys.modules[source.stem] = module
    spec.loader.exec_module(module)
    plugin = plugin_of(module)
    kind, grants = kind_of(plugin), sorted(granted(source))
    with tempfile.TemporaryDirectory(prefix="pelton-build-") as work:
        wit = Path(work, "wit")
        wit.mkdir()
        imports = "".join(f"    import {grant};\n" for grant in grants)
        Path(wit, "plugin.wit").write_text(f"{contract().read_text()}\nworld built {{\n{imports}    export {kind};\n}}\n")
        entry = Path(work, "app")
        entry.mkdir()
        shutil.copytree(Path(__file__).parent, entry / "pelton_sdk", ignore=shutil.ignore_patterns("__pycache__"))
        for file in source.parent.glob("*.py"):
            shutil.copy(file, entry)
        glue = f"import {source.stem} as plugin\nfrom pelton_sdk import glue\n\n"
        glue += f"{kind.capitalize()} = glue.{kind}(plugin.{plugin.__name__})\n"
        Path(entry, "pelton_app.py").write_text(glue)
        out.parent.mkdir(parents=True, exist_ok=True)
        command = [tool, "-q", "-d", wit, "-w", "built", "componentize", "--stub-wasi", "-p", entry, "-o", out, "pelton_app"]
        if (status := subprocess.run(command).returncode) != 0:
            return status
    print(f"built {out} ({out.stat().st_size} bytes): {kind}, granted: {', '.join(grants) or 'nothing'}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
