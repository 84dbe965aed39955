"""The command line: data on standard output, progress on standard error, one line and a hint for every failure.

Exit codes: 0 done; 1 failed; 2 what was given cannot be used; 3 not found; 4 somebody else was first; 5 a service does not
answer, try again; 6 the gate refused the model.
"""

import json
import logging
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer.exceptions import TyperException

from model.config import load_config
from model.environment import Environment
from model.errors import GlocalError

app = typer.Typer(
    help="Train, gate, register, promote and serve image retrieval models.", no_args_is_help=True, add_completion=False
)
data = typer.Typer(help="Data sets and their versions.", no_args_is_help=True)
serve = typer.Typer(help="The endpoint on this machine.", no_args_is_help=True)
app.add_typer(data, name="data")
app.add_typer(serve, name="serve")

Json = Annotated[bool, typer.Option("--json", help="One JSON object on the last line of standard output.")]
Name = Annotated[str, typer.Option(help="Name of the registered and served model.")]
_SHOWN = 20
_STOPPED = 130


def main() -> None:
    """Run the command line."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        if app(standalone_mode=False) == _STOPPED:  # what typer makes of Ctrl-C
            _say("Stopped. The same command resumes.")
            sys.exit(_STOPPED)
    except typer.Abort:
        sys.exit(_STOPPED)
    except TyperException as error:
        if said := error.format_message():  # none where the help was shown instead
            context = getattr(error, "ctx", None)
            _say(f"Error: {said}\n  See {context.command_path if context else 'glocal'} --help.")
        sys.exit(2)
    except ValidationError as error:  # of the environment: configurations are explained where they are read
        first = error.errors()[0]
        _say(f"Error: GLOCAL_{'_'.join(map(str, first['loc'])).upper()}: {first['msg']}, not {first['input']!r}.")
        sys.exit(2)
    except OSError as error:
        _say(f"Error: {error.strerror or error}: {error.filename or ''}")
        _say("  Make room, or set GLOCAL_HOME to a folder that can be written.")
        sys.exit(1)
    except GlocalError as error:
        _say(f"Error: {error.headline}")
        for finding in getattr(getattr(error, "findings", None), "defects", [])[:_SHOWN]:
            _say(f"  {finding}")
        if error.hint:
            _say(f"  {error.hint}")
        sys.exit(error.exit_code)
    except Exception as error:  # a fault of ours: one line for the person, the trace into a file
        with tempfile.NamedTemporaryFile("w", prefix="glocal-", suffix=".log", delete=False) as log:
            log.write(traceback.format_exc())
        _say(f"Error: {type(error).__name__}: {error}")
        _say(f"  This is a fault of glocal's. The trace is in {log.name}.")
        sys.exit(1)


@app.command()
def run(
    data: Annotated[str, typer.Option(help="A folder of one folder a class, a CSV, s3://bucket/prefix, or name@revision.")],
    name: Annotated[str, typer.Option(help="What the data set is called; default: the folder's name.")] = "",
    config: Annotated[Path | None, typer.Option(help="A YAML file of settings.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting, such as train.epochs=20. May be repeated.")] = None,
    why: Annotated[str, typer.Option(help="The reason, for the promotion's record.")] = "a training run",
    as_json: Json = False,
) -> None:
    """Run the training pipeline: version, train, index, evaluate, gate, register, deploy, smoke test."""
    settings = load_config(config, set_ or ())
    from pipelines.running import run_training

    result = run_training(data, name or default_name(data), settings, environment=Environment(), listener=Console(), why=why)
    _summarise(result.body)
    if as_json:
        print(json.dumps(result.body))
    sys.exit(result.exit_code)


@app.command("compile")
def compile_(out: Annotated[Path, typer.Option(help="The file to write (.yaml).")]) -> None:
    """Write the pipeline as the file that every runner runs."""
    from pipelines.compiled import compile_pipeline

    print(compile_pipeline(out))


@app.command()
def query(
    image: Annotated[Path, typer.Argument(help="A JPEG, PNG or WebP file.")],
    k: Annotated[int, typer.Option(help="How many neighbours.")] = 5,
    name: Name = "glocal",
    as_json: Json = False,
) -> None:
    """Ask the endpoint what an image shows."""
    from serving.backends.torchserve import server as torchserve
    from serving.client import query as ask

    state = torchserve.status(Environment().home)
    if not state["running"]:
        raise _not_serving()
    answer = ask(state["address"], name, image, k)
    if as_json:
        print(json.dumps(answer))
        return
    print(f"{image}: release {answer['release']}, space {answer['embedding_space_id']}")
    for neighbour in answer["neighbours"]:
        print(f"  {neighbour['score']:.4f}  {neighbour['label']}  ({neighbour['id']})")


@data.command("import")
def import_(
    source: Annotated[str, typer.Argument(help="A folder of one folder a class, a CSV, or s3://bucket/prefix.")],
    name: Annotated[str, typer.Option(help="What the data set is called.")],
    csv: Annotated[
        Path | None, typer.Option(help="A CSV of file, label and, optionally, split, group and xmin, ymin, xmax, ymax.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting, such as data.leaks=drop.")] = None,
    as_json: Json = False,
) -> None:
    """Check a folder of images and keep it as a new version of a data set."""
    settings = load_config(None, set_ or ()).data
    from model.data.importing.pinning import pin_dataset

    environment = Environment()
    report = pin_dataset(
        source,
        name,
        environment.home.data,
        settings,
        csv=csv,
        remote=environment.data_remote or None,
        progress=Console().progress,
    )
    for message in report.messages:
        _say(f"Warning: {message}")
    samples = ", ".join(f"{count} {split}" for split, count in report.samples.items() if count)
    unchanged, where = " (unchanged)" if report.unchanged else "", f" Report: {report.report}" if report.report else ""
    _say(f"{report.pin.path}@{report.pin.rev[:12]}: {samples}{unchanged}.{where}")
    print(json.dumps(report.to_json()) if as_json else f"{report.pin.path}@{report.pin.rev}")


@data.command("list")
def list_(as_json: Json = False) -> None:
    """The data sets of this machine and their newest versions."""
    from model.data.versions.pin import datasets

    pins = datasets(Environment().home.data)
    if as_json:
        print(json.dumps([pin.to_json() for pin in pins]))
    else:
        for pin in pins:
            print(f"{pin.path}@{pin.rev}  {pin.files} files, {pin.classes} classes")


@data.command()
def demo(
    out: Annotated[Path, typer.Argument(help="The folder to draw into.")],
    seed: Annotated[int, typer.Option(help="Another seed, another catalogue.")] = 0,
) -> None:
    """Draw a catalogue of packaged products to try everything with; a folder that is there is left as it is."""
    from model.demo.catalogue import draw_catalogue

    if not out.exists():
        console = Console()
        draw_catalogue(out, seed=seed, progress=lambda done, total: console.progress(done, total, "images drawn"))
    print(out)


@serve.command()
def start(as_json: Json = False) -> None:
    """Start TorchServe on loopback, with what was deployed last."""
    from serving.backends.torchserve import server as torchserve

    _show_server(torchserve.start(Environment().home), as_json)


@serve.command()
def status(as_json: Json = False) -> None:
    """Whether it runs, where, and what it serves."""
    from serving.backends.torchserve import server as torchserve

    _show_server(torchserve.status(Environment().home), as_json)


@serve.command()
def stop(as_json: Json = False) -> None:
    """Stop TorchServe and its workers."""
    from serving.backends.torchserve import server as torchserve

    stopped = torchserve.stop(Environment().home)
    print(json.dumps({"stopped": stopped}) if as_json else "stopped" if stopped else "was not running")


class Console:
    """Shows events on standard error: a line for every step, and between them how far it is, where that can be overwritten."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self._last = time.monotonic()

    def __call__(self, event: dict[str, Any]) -> None:
        """Show one event of a run."""
        if event["event"] == "progress":
            self.progress_text(f"{event['step']}: {event['text']}")
        elif event["event"] == "finished":
            _say(f"{self._clear()}  ok      {event['step']:<11} {event['seconds']:6.1f} s")
        elif event["event"] == "cached":
            _say(f"{self._clear()}  cached  {event['step']}")
        elif event["event"] == "failed":
            _say(f"{self._clear()}  FAILED  {event['step']}")

    def progress(self, done: int, total: int, what: str) -> None:
        """Show how far something is."""
        self.progress_text(f"{done} of {total} {what}" if total else what)

    def progress_text(self, text: str) -> None:
        """Show a text that the next one overwrites; off a terminal one every ten seconds."""
        if self.live:
            print(f"\r\x1b[K  ..      {text}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._last > 10:
            self._last = time.monotonic()
            _say(f"  ..      {text}")

    def _clear(self) -> str:
        return "\r\x1b[K" if self.live else ""


def default_name(source: str) -> str:
    """A data set's name from where it lies: its folder's, or its parent's where that says nothing."""
    if "@" in source and not Path(source).exists():
        return source.split("@", maxsplit=1)[0]
    parts = [part for part in Path(source).absolute().parts if part not in {"images", "data", "/"}]
    last = parts[-1] if parts else ""
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in last).lstrip(".")[:64] or "data"


def _summarise(body: dict[str, Any]) -> None:
    if body["report"]:
        report, untrained = body["report"], body["report"]["untrained"]
        for name, key in (("Recall@1", "recall_at_1"), ("MAP@R", "map_at_r")):
            low, high = report[f"{key}_interval"]
            _say(f"  {name:<9} {report[key]:.3f} [{low:.3f}, {high:.3f}]   untrained trunk {untrained[key]:.3f}")
        _say(f"  report    {report['path']}")
    if body["status"] == "succeeded":
        _say(f"  model     version {body['model_version']}, alias {body['alias']}")
        _say(f"  address   {body['address']}")
    for text in body.get("refused", []):
        _say(f"  refused   {text}")
    if "error" in body:
        error = body["error"]
        _say(f"Error: {error['step']}: {error['headline']}\n  {error['hint']}\n  Log: {error['log']}")


def _show_server(state: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(state))
    elif not state["running"]:
        print("not running")
    else:
        print(f"running at {state['address']}, {state['memory_mb']:.0f} MB, log {state['log']}")
        for name, model in state["models"].items():
            print(f"  {name}: version {model['default']}")


def _not_serving() -> GlocalError:
    from model.errors import Unavailable

    return Unavailable(
        "The endpoint does not run.", "Start it: glocal serve start (or deploy a model first: glocal run --data DIR)."
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
