"""The user's code as it runs in an export: where it runs, and what is said of what it raises."""

from __future__ import annotations

import inspect
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

from hefsmith_worker.stages.checkpoint import first_line

#: What packages are installed as, where that is not the name they are imported by.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "segmentation_models_pytorch": "segmentation-models-pytorch",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


@contextmanager
def at_home(folder: Path) -> Iterator[None]:
    """Make the folder of code the current one: it opens its configuration from there."""
    before = os.getcwd()
    os.chdir(str(folder))
    try:
        yield
    finally:
        os.chdir(before)


def told(error: BaseException, file: Path) -> str:
    """Return an error of the user's code with the line of the user's file where it arose."""
    trace = error.__traceback__
    line = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename == str(file):
        line = error.lineno
    where = " (%s:%d)" % (file.name, line) if line else ""
    if isinstance(error, SystemExit):
        return "it ends the program%s" % where
    return "%s: %s%s" % (type(error).__name__, first_line(error), where)


def step_after(error: BaseException, file: Path) -> str:
    """Say what to do about an error of the user's code; empty where only its owner knows."""
    fix = ""
    if isinstance(error, SystemExit):
        fix = (
            "Put what reads the command line or trains below: if __name__ == '__main__'. Or give "
            "the network a file of its own, and name that one."
        )
    elif isinstance(error, FileNotFoundError) and error.filename:
        fix = (
            "Small texts (.json, .yaml, .toml, .cfg, .txt) beside %s or below come along where "
            "the code names them; other files do not, nor what lies above." % file.name
        )
    elif isinstance(error, ImportError) and "attempted relative import" in str(error):
        fix = (
            "Its package must lie below the project's folder, the one that hef.yaml is in or hef "
            "runs in: run hef from above the package."
        )
    elif isinstance(error, ModuleNotFoundError) and error.name:
        fix = (
            "If %s is a package: %s. If it is a file of "
            "yours, it must lie beside %s, below, or in the project above."
            % (error.name.partition(".")[0], line_for(error.name), file.name)
        )
    return fix


def made_elsewhere(factory: Any, file: Path) -> str:
    """Say how a network is made that its class alone does not make, with what it would take."""
    try:
        names = [str(one) for one in inspect.signature(factory).parameters]
    except (TypeError, ValueError):
        names = []
    if not names:
        return ""
    return (
        "It takes: %s. Give them under kwargs: in the recipe, or write a function that makes it as "
        "your own program does, def build(): return %s(...), and name it: source: {torch: "
        '"%s:build"}.' % (", ".join(names), factory.__name__, file.name)
    )


def line_for(module: str) -> str:
    """Return the line of a recipe that installs the package of a module."""
    root = module.partition(".")[0]
    return "export: {packages: [%s]} in the recipe" % DISTRIBUTIONS.get(root, root)


def arguments_of(
    factory: Callable[..., Any], given: Mapping[str, Any], error: BaseException
) -> str:
    """Say which arguments a factory wants that the recipe does not give, or gives in vain."""
    fix = ""
    if not isinstance(error, TypeError):
        return fix
    with suppress(TypeError, ValueError):
        signature = inspect.signature(factory)
        try:
            signature.bind(**given)
        except TypeError:
            plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
            taken = [one for one in signature.parameters.values() if one.kind in plain]
            wanted = [one.name for one in taken if one.default is inspect.Parameter.empty]
            words = ", ".join("%s: ..." % name for name in wanted)
            names = ", ".join(one.name for one in taken)
            if wanted:
                fix = "Give its arguments in the recipe: source: {kwargs: {%s}}" % words
            elif names:
                fix = "It takes these arguments, for kwargs: in the recipe: %s" % names
            else:
                fix = "It takes no arguments: leave kwargs out of the recipe."
    return fix
