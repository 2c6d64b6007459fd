"""A process that has imported what the tests stand on, and runs tests in copies of itself: each begins in a moment.

It is told of tests on its standard input, a JSON array of pytest's arguments and a file for what they say, and answers
with pytest's exit code. The suite's own modules and the tests' are forgotten before: a copy reads them as they are.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path

_OPTIONS = ("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning")
_STAND_ON = ("pytest", "hypothesis", "tests.usecases.in_process_suite", "tests.support.servers", "ichidai.cli.commands")


def warm_up() -> None:
    """Import what is large, and forget what lies in the present folder."""
    here = os.getcwd()  # noqa: PTH109 - compared with texts
    sys.path.insert(0, here)
    for name in _STAND_ON:
        importlib.import_module(name)
    own = [name for name, module in sys.modules.items() if (getattr(module, "__file__", None) or "").startswith(here)]
    for name in own:
        if name != "__main__":
            del sys.modules[name]
    importlib.invalidate_caches()


def run(arguments: list[str], said: str) -> None:
    """Run tests, writing what they say to a file; the process ends with pytest's exit code."""
    code = 1
    try:
        for number, path, flags in ((0, os.devnull, os.O_RDONLY), (1, said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)):
            os.dup2(os.open(path, flags, 0o600), number)
        os.dup2(1, 2)
        import pytest  # noqa: PLC0415 - it is warm

        code = int(pytest.main([*_OPTIONS, *arguments]))
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - whatever it was, this copy ends here
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    """Answer until the standard input ends."""
    os.chdir(Path(sys.argv[1]))
    warm_up()
    for line in sys.stdin:
        arguments, said = json.loads(line)
        pid = os.fork()
        if pid == 0:
            run(arguments, said)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
