"""Code of the user's own, named `module:function`: found without running anything, and run only when that is allowed.

The module is `module.py` beside the recipe or in the current folder, or one that is installed; what stands before the
colon may also be the path of a file. Its bytes are read once: what has the digest is what runs.
"""

import sys
import types
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

from quantkit.errors import EvaluationError, UsageError
from quantkit.files import digest_of, sha256_bytes
from quantkit.metrics.own import Function

_SUFFIX = ".py"
_LOADED_AS = "quantkit_own_metric"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where a function is, and the bytes that define it.

    Attributes:
        path: the file.
        package: the package that the module is in; empty for a file alone.
        root: the folder that its other modules are imported from.
        function: its name there.
        content: the file's bytes.
    """

    path: Path
    package: str
    root: Path
    function: str
    content: bytes

    @property
    def name(self) -> str:
        """What the function is called, on every machine: `module:function`."""
        within = f"{self.package}." if self.package else ""
        return f"{within}{self.path.stem}:{self.function}"

    @property
    def sha256(self) -> str:
        """The digest of the file."""
        return sha256_bytes(self.content)


def find_source(named: str) -> Source:
    """Find a function's file; nothing is imported, not even the packages it is in.

    Raises:
        UsageError: the name is not `module:function`, or there is no such file.
    """
    module, colon, function = named.rpartition(":")
    if not colon or not module or not function.isidentifier():
        raise UsageError(f"{named}: is no function; write module:function, such as my_metric:score")
    file = module.endswith(_SUFFIX) or "/" in module
    path = Path(module).expanduser() if file else _file_of(module)
    if path is None or not path.is_file():
        beside = (
            f"file {module.replace('.', '/')}{_SUFFIX} here or beside the recipe, and no module of that name"
        )
        raise UsageError(f"{named}: there is no {f'file {path}' if file else beside}; name one that is there")
    package = "" if file else module.rpartition(".")[0]
    root = path.resolve().parents[len(package.split(".")) if package else 0]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); make it readable") from error
    return Source(path=path, package=package, root=root, function=function, content=content)


def content_digest(named: str) -> str:
    """Return what tells two functions apart: the bytes of the file, and the function's name.

    Raises:
        UsageError: there is no such function's file.
    """
    source = find_source(named)
    return digest_of({"file": source.sha256, "function": source.function})


def loaded(source: Source) -> Function:
    """Run the file, and return the function.

    Raises:
        EvaluationError: the file does not run, or has no such function.
    """
    module = types.ModuleType(_LOADED_AS)
    module.__file__, module.__package__ = str(source.path), source.package
    # Dataclasses and pickle look a module up by its name.
    sys.modules[_LOADED_AS] = module
    sys.path.insert(0, str(source.root))
    try:
        exec(compile(source.content, str(source.path), "exec"), module.__dict__)  # noqa: S102 - --allow-code
    except (Exception, SystemExit) as error:
        said = str(error).splitlines() or [""]
        raise EvaluationError(f"{source.path}: raised {type(error).__name__}: {said[0]}; mend it") from error
    finally:
        sys.path.remove(str(source.root))
    function = getattr(module, source.function, None)
    if not callable(function):
        raise EvaluationError(f"{source.path}: has no function {source.function}; name one that is there")
    found: Function = function
    return found


def _file_of(module: str) -> Path | None:
    """Return the source file of a module, looked for here and where Python looks; None: there is none."""
    places = [str(Path.cwd()), *sys.path]
    *packages, last = module.split(".")
    for package in packages:
        spec = PathFinder.find_spec(package, places)
        if spec is None or spec.submodule_search_locations is None:
            return None
        places = list(spec.submodule_search_locations)
    spec = PathFinder.find_spec(last, places)
    if spec is None or spec.origin is None or not spec.origin.endswith(_SUFFIX):
        return None
    return Path(spec.origin)
