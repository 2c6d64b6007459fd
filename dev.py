"""Everything one does with this project, from a plain Python: `python3 dev.py`, or `python3 dev.py help`.

Standard library only. What a command needs is installed into `.venv` from the lock files, once; while `.venv` is
fresh nothing is installed and no network is touched.
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - this message is for older ones
    sys.exit(f"Ichidai needs Python 3.11 or newer; this is {sys.version_info[0]}.{sys.version_info[1]}.")

USAGE = """\
usage: python3 dev.py [command]

  start [...]       run the suite (the default, and what options alone are for); they go to `ichidai serve all`
  demo [...]        run `ichidai demo`
  test [...]        run the tests; arguments go to pytest
  prove [...]       run the proof of the limit and write docs/benchmarks.md; --long [times], --only F1,F9, --seed S
  bench [...]       measure beside the peers, write docs/benchmarks.md and charts; --only, --long, --dry (needs wrk)
  load FOLDER       make a data folder with many accounts; --accounts 100000, --devices 1
  check [--strict]  lint, format, types, import contracts, and the rows that no test names
                    (--strict: it fails while an asked row is not named)
  lock              take the newest versions into the lock files
"""

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN, EXE = (VENV / "Scripts", ".exe") if os.name == "nt" else (VENV / "bin", "")
PYTHON = f"{BIN / 'python'}{EXE}"
ICHIDAI = f"{BIN / 'ichidai'}{EXE}"
STAMP = VENV / "ichidai.stamp"
LOCKS = {"runtime": "requirements.lock", "dev": "requirements-dev.lock"}


def start(arguments: Sequence[str]) -> int:
    """Run the whole suite."""
    prepare("runtime")
    return hand_over(ICHIDAI, "serve", "all", *arguments)


def demo(arguments: Sequence[str]) -> int:
    """Run the demonstration."""
    prepare("runtime")
    return hand_over(ICHIDAI, "demo", *arguments)


def test(arguments: Sequence[str]) -> int:
    """Run the tests, in as many processes as there are cores, up to four."""
    prepare("dev")
    return hand_over(PYTHON, "-m", "pytest", "-n", "auto", "--maxprocesses", "4", "--dist", "worksteal", *arguments)


def prove(arguments: Sequence[str]) -> int:
    """Run the proof and write its figures."""
    prepare("dev")
    return hand_over(PYTHON, "-m", "tests.proof.prove", *arguments)


def bench(arguments: Sequence[str]) -> int:
    """Run the benchmarks and write their figures."""
    prepare("dev")
    return hand_over(PYTHON, "-m", "benchmarks", *arguments)


def load(arguments: Sequence[str]) -> int:
    """Make a data folder with many accounts."""
    prepare("dev")
    return hand_over(PYTHON, "-m", "benchmarks.population", *arguments)


def check(arguments: Sequence[str]) -> int:
    """Run every check that needs no test, side by side."""
    prepare("dev")
    steps = {
        "lint": (PYTHON, "-m", "ruff", "check", "--output-format", "concise"),
        "format": (PYTHON, "-m", "ruff", "format", "--check", "--output-format", "concise"),
        "types": (PYTHON, "-m", "mypy", "--no-error-summary"),
        "imports": (PYTHON, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-logo"),
        "rows": (PYTHON, "tests/requirement_coverage.py", *arguments),
    }
    failed = False
    with ThreadPoolExecutor(len(steps)) as pool:
        running = {pool.submit(captured, command): name for name, command in steps.items()}
        for done in as_completed(running):
            name, (code, output, seconds) = running[done], done.result()
            say(f"{'FAILED' if code else 'ok':8}{name} ({seconds:.1f} s)")
            if code or name == "rows":
                say(output.rstrip())
            failed = failed or code != 0
    return int(failed)


def lock(_arguments: Sequence[str]) -> int:
    """Write both lock files anew. They hold for every system and Python we run on; the second contains the first."""
    prepare("dev")
    resolve = (PYTHON, "-m", "uv", "pip", "compile", "pyproject.toml", "--quiet", "--upgrade", "--generate-hashes")
    # With its extra left out, an older pip takes the newest release of "coverage[toml]" for it, and finds no hash.
    whole = ("--no-strip-extras", "--universal", "--python-version", "3.11")
    scope = (*whole, "--custom-compile-command", "python3 dev.py lock")
    runtime = ("--extra", "server", "--extra", "editable", "--output-file", LOCKS["runtime"])
    extras = ("--extra", "server", "--extra", "tracing", "--extra", "editable", "--extra", "dev")
    dev = (*extras, "--constraint", LOCKS["runtime"], "--output-file", LOCKS["dev"])
    for what in (runtime, dev):
        say(f"Resolving {what[-1]} …")
        run(*resolve, *scope, *what)
    return 0


COMMANDS = {
    "start": start,
    "demo": demo,
    "test": test,
    "prove": prove,
    "bench": bench,
    "load": load,
    "check": check,
    "lock": lock,
}


def prepare(kind: str) -> None:
    """Make `.venv` hold what `kind` asks for, this project included. A fresh one is left alone."""
    if Path(PYTHON).exists() and STAMP.exists() and STAMP.read_text() in {stamp(kind), stamp("dev")}:
        return
    if not usable():
        if importlib.util.find_spec("ensurepip") is None:
            sys.exit("This Python cannot make virtual environments. On Debian or Ubuntu: apt-get install python3-venv")
        say("Making .venv (once, about a minute) …")
        run(sys.executable, "-m", "venv", "--clear", str(VENV))
    STAMP.unlink(missing_ok=True)
    pip = (PYTHON, "-m", "pip", "--disable-pip-version-check", "-qq", "install")
    say(f"Installing what {LOCKS[kind]} names …")
    run(*pip, "--require-hashes", "-r", LOCKS[kind])
    say("Installing the suite …")
    run(*pip, "--no-deps", "--editable", ".")
    STAMP.write_text(stamp(kind))


def stamp(kind: str) -> str:
    """Return a digest of all that decides what `.venv` must hold."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {ROOT}".encode())
    for name in ("pyproject.toml", LOCKS[kind]):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def usable() -> bool:
    """Say whether `.venv` is one of this Python's version, with pip."""
    probe = f"import sys, pip; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    return Path(PYTHON).exists() and captured((PYTHON, "-c", probe))[0] == 0


def run(*command: str) -> None:
    """Run a command that must succeed. Raises CalledProcessError."""
    subprocess.run(command, cwd=ROOT, check=True)


def captured(command: Sequence[str]) -> tuple[int, str, float]:
    """Run a command; return its code, what it printed, and how many seconds it took."""
    begun = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.decode(errors="replace"), time.monotonic() - begun


def hand_over(*command: str) -> int:
    """Run a command in our place: its signals and its return code are ours."""
    if os.name == "posix":
        os.chdir(ROOT)
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted
    with subprocess.Popen(command, cwd=ROOT) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # the command was told as well, and ends in its own way


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name; return its code."""
    asks_for_help = arguments[:1] in (["-h"], ["--help"])
    has_no_name = not arguments or (arguments[0].startswith("-") and not asks_for_help)
    name, *rest = ["start", *arguments] if has_no_name else arguments
    if name not in COMMANDS:
        say(USAGE)
        return 0 if name in {"help", "-h", "--help"} else 2
    try:
        return COMMANDS[name](rest)
    except subprocess.CalledProcessError as error:
        say("That did not work; see above.")
        return error.returncode
    except KeyboardInterrupt:
        say("Stopped.")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
