"""Commands from functions: their options are the fields of the configurations that they take.

    @command(app)
    def scan(source: Source, config: ScanConfig, output: Output) -> None:
        '''Find what is wrong with a set of images.'''

The configurations are made by keyword; what is wrong with one is refused before the function is called.
"""

from __future__ import annotations

import dataclasses
import errno
import inspect
import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer
from typer.core import TyperGroup

from .measuring.storage import cache_path
from .stage.errors import DataError, ToolkitError, gist
from .stage.leaving import leaving
from .stage.lines import printable
from .stage.options import FieldOption, field_options, make, read, shortened, written
from .stage.shortness import short_repr
from .stage.signals import exit_status, stopping
from .terminal import err

F = TypeVar("F", bound=Callable[..., None])


class Group(TyperGroup):
    """Commands whose user errors end as one line and exit status 2; anything else is a bug and shows its traceback."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with _told_inertly():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> object:
        try:
            # Keras loads Matplotlib where that is installed, and it keeps a cache: ours, and no other.
            os.environ.setdefault("MPLCONFIGDIR", str(cache_path() / "matplotlib"))
            with _told_inertly(), stopping():
                return super().invoke(ctx)
        except ToolkitError as error:
            err.print(f"{type(error).__name__}: {error}")
            raise typer.Exit(2) from None
        except BrokenPipeError:  # whoever was reading has gone; Typer ends without a word
            raise
        except (OSError, MemoryError) as error:  # what the system says where no command expected it
            err.print(_refusal_of(error))
            raise typer.Exit(2) from None
        except KeyboardInterrupt as interrupt:
            err.print("stopped; nothing was left half-written.")
            raise typer.Exit(exit_status(interrupt)) from None


def _refusal_of(error: OSError | MemoryError) -> str:
    """What the system says, in a line."""
    if isinstance(error, MemoryError):
        return "MemoryError: this needs more memory than there is. Give fewer or smaller pictures, or --workers 1."
    place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return f"{type(error).__name__}: {place}{error.strerror or gist(error)}. -v shows where it was met."


@contextmanager
def _told_inertly() -> Iterator[None]:
    """What Typer itself refuses is told by Typer: what was typed must not steer the terminal there either."""
    try:
        yield
    except Exception as error:
        if isinstance(getattr(error, "message", None), str) and hasattr(error, "format_message"):
            error.message = printable(error.message)  # type: ignore[attr-defined]
        raise


class _Program(typer.Typer):
    def __call__(self, *arguments: Any, **options: Any) -> object:
        if arguments or options:  # another program calls us, which goes on after that
            return super().__call__(*arguments, **options)
        with leaving():
            return super().__call__()


def application(name: str, help: str) -> typer.Typer:
    """A program of several commands, with -h and --version."""
    app = _Program(
        name=name,
        cls=Group,
        help=help,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    def print_version(wanted: bool) -> None:
        if wanted:
            typer.echo(f"{name} (Trustset) {_version()}")
            raise typer.Exit

    # A callback, without which an app of a single command swallows the command's name, too.
    @app.callback()
    def about(
        version: bool = typer.Option(
            False, "--version", help="Print the version.", callback=print_version, is_eager=True
        ),
    ) -> None:
        pass

    return app


def _version() -> str:
    from importlib import metadata  # which takes a tenth of the time of --help

    try:
        return metadata.version("trustset")
    except metadata.PackageNotFoundError:
        return "(not installed)"


@dataclass(frozen=True)
class Takes:
    """What a command takes of a configuration.

    config    its class; only  the options that it takes, all where that is empty; without  those that it does not
    defaults  where they are not those of the fields
    base      a configuration whose values are the defaults;  unset  there are no defaults: what is not given is None
    """

    config: type
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    defaults: Mapping[str, object] = field(default_factory=dict)
    base: object = None
    unset: bool = False

    __repr__ = short_repr

    def options(self) -> tuple[FieldOption, ...]:
        """Those options, with their defaults."""
        entries = [entry for entry in field_options(self.config, self.only) if entry.name not in self.without]
        values: dict[str, object] = dict.fromkeys((entry.name for entry in entries) if self.unset else ())
        values |= ({} if self.base is None else _values(self.base)) | {**self.defaults}
        return tuple(
            dataclasses.replace(entry, default=values[entry.name]) if entry.name in values else entry
            for entry in entries
        )


def _values(config: object) -> dict[str, object]:
    """The values of a configuration's options, those of its sections too."""
    values: dict[str, object] = {}
    for entry in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, entry.name)
        values |= _values(value) if dataclasses.is_dataclass(value) else {entry.name: value}
    return values


def command(
    app: typer.Typer, name: str | None = None, *, panel: str | None = None, takes: Mapping[str, Takes] | None = None
) -> Callable[[F], F]:
    """A decorator: the function becomes a command, with an option for each field of the configurations it takes.

    takes  by the name of a parameter; one that is annotated as a configuration, and not in it, is taken whole. One that
           is not gets the values of the options by name. An option that two of them have is there once, for both.
    """

    def decorate(function: F) -> F:
        hints = get_type_hints(function, include_extras=True)
        parts = {
            parameter: (takes or {}).get(parameter) or Takes(hints[parameter])
            for parameter in inspect.signature(function).parameters
            if parameter in (takes or {}) or dataclasses.is_dataclass(hints[parameter])
        }
        app.command(name or function.__name__, rich_help_panel=panel)(_command(function, hints, parts))
        return function

    return decorate


def _command(
    function: Callable[..., None], hints: Mapping[str, object], takes: Mapping[str, Takes]
) -> Callable[..., None]:
    """What typer makes the command of: a function with a parameter for each option."""
    options: dict[str, FieldOption] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        name = parameter.name
        if name not in takes:
            parameters.append(parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        own = {entry.name: entry for entry in takes[name].options() if entry.name not in options}
        options |= own
        parameters += map(_parameter, own.values())

    def run(**words: object) -> None:
        start = time.perf_counter()
        verbose = bool(words.get("verbose"))
        try:
            function(**_arguments(words, options, takes))
        except (ToolkitError, OSError, MemoryError):
            if verbose:
                for line in traceback.format_exc().splitlines():
                    err.print_line(line)
            raise
        finally:
            if verbose:
                err.print(f"time    {time.perf_counter() - start:.1f} s in all")

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__doc__ = function.__doc__
    run.takes = takes  # type: ignore[attr-defined]
    return run


def _arguments(
    words: Mapping[str, object], options: Mapping[str, FieldOption], takes: Mapping[str, Takes]
) -> dict[str, object]:
    for name, typed in words.items():
        entry = options.get(name)
        for single in typed if isinstance(typed, list) else [typed]:
            if isinstance(single, Path) or (entry and entry.option.path):
                _check_path(entry.flag if entry else name.upper(), single)
    values = {name: read(entry, words[name]) for name, entry in options.items()}
    with naming_flags(options.values()):
        return _made(words, values, options, takes)


def _check_path(name: str, path: object) -> None:
    """Raise DataError for what no system takes as a path, or only goes round in circles."""
    if not isinstance(path, str | Path):
        return
    try:
        Path(path).stat()
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise DataError(f"{name} {shortened(str(path))} cannot be opened: {error.strerror}.") from None


@contextmanager
def naming_flags(options: Iterable[FieldOption]) -> Iterator[None]:
    """A refusal that begins with an option's name as a field has it begins with its flag, as it was typed."""
    try:
        yield
    except DataError as error:
        name, verb, rest = str(error).partition(" is ")
        flags = {entry.name: entry.flag for entry in options}
        if not verb or name not in flags:
            raise
        raise DataError(f"{flags[name]}{verb}{rest}") from error


def _made(
    words: Mapping[str, object],
    values: Mapping[str, object],
    options: Mapping[str, FieldOption],
    takes: Mapping[str, Takes],
) -> dict[str, object]:
    """The arguments of a command's function: what was typed for its parameters, and its configurations."""
    arguments = {name: value for name, value in words.items() if name not in options}
    for name, part in takes.items():
        own = {entry.name: values[entry.name] for entry in part.options()}
        arguments[name] = own if part.base is not None or part.unset else make(part.config, own)
    return arguments


def _parameter(entry: FieldOption) -> inspect.Parameter:
    about = entry.option
    # What is true or false has no opposite where its name is spelled out here.
    spelled = [entry.flag] if about.flag or about.short or about.switch else []
    info = typer.Option(
        *spelled,
        *([about.short] if about.short else []),
        help=about.help,
        rich_help_panel=about.group or None,
        metavar=_metavar(entry),
        autocompletion=_completer(entry),
    )
    kind, default = _annotated(entry)
    return inspect.Parameter(
        entry.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is MISSING else default,
        annotation=Annotated[kind, info],
    )


def _annotated(entry: FieldOption) -> tuple[object, object]:
    """(annotation, default) of an option, as typer reads it."""
    if entry.repeats:
        return list[str] | None, None
    if entry.shape.several or entry.shape.size:
        default = written(entry, entry.default)
        return (str if default is not None else str | None), default
    kind: type = Path if entry.option.path else entry.shape.single
    if entry.default is None:
        return kind | None, None
    return kind, Path(str(entry.default)) if entry.option.path and entry.default is not MISSING else entry.default


def _metavar(entry: FieldOption) -> str | None:
    about, kind = entry.option, entry.shape.single
    if about.metavar:
        return about.metavar
    if entry.shape.size:
        return "WIDTHxHEIGHT"
    if entry.shape.several and not entry.repeats:
        return f"<{kind.__name__},...>"
    if about.share:
        return f"<{kind.__name__} from 0 to 1>"
    return None if about.at_least is None else f"<{kind.__name__} from {about.at_least:g}>"


def _completer(entry: FieldOption) -> Callable[[str], list[str]] | None:
    """What completes the value of an option in a shell, None where the shell does so itself or nobody can."""
    about = entry.option
    if not about.among and about.names is None:
        return None

    def complete(incomplete: str) -> list[str]:
        before, comma, last = (
            incomplete.rpartition(",") if entry.shape.several or entry.shape.scores else ("", "", incomplete)
        )
        mark = "=" if entry.shape.scores else ""
        values = [f"{value}{mark}" for value in about.known()] + [*(about.nothing and [about.nothing])]
        return [before + comma + value for value in (*values, *files(last, about.suffixes)) if value.startswith(last)]

    return complete


def files(incomplete: str, suffixes: Iterable[str]) -> list[str]:
    """The files of these suffixes, and folders, whose path begins so; none where there are no suffixes."""
    if not (wanted := tuple(suffixes)):
        return []
    head, tail = os.path.split(incomplete)
    folder, prefix = Path(head or "."), incomplete.removesuffix(tail)
    if not folder.is_dir():
        return []
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return [f"{prefix}{path.name}{'/' * path.is_dir()}" for path in paths if path.is_dir() or path.suffix in wanted]
