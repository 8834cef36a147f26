"""The command ``completion``: scripts that complete commands, options, networks and figures in a shell."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from string import Template

import erfmath as em

from ..bench import BENCHMARKS
from ..figures import FIGURES
from .report import Answer

__all__ = ["add_completion_options", "completion"]

#: A function of bash; zsh runs it through bashcompinit.
SCRIPT = Template("""$head
_erfmath() {
    local current="$${COMP_WORDS[COMP_CWORD]}" previous="$${COMP_WORDS[COMP_CWORD-1]}" words=""
    if [ "$$COMP_CWORD" -eq 1 ]; then
        words="$commands --help --version"
    else
        case "$${COMP_WORDS[1]}:$$previous" in
$choices
        *)
            case "$${COMP_WORDS[1]}:$$current" in
$options
            esac ;;
        esac
    fi
    COMPREPLY=($$(compgen -W "$$words" -- "$$current"))
    if [ "$$COMP_CWORD" -gt 1 ] && [ "$${current#-}" = "$$current" ]; then
        COMPREPLY+=($$(compgen -f -- "$$current"))
    fi
}
complete -o filenames -F _erfmath erfmath
""")
HEADS = {"bash": "# erfmath completion: eval \"$(erfmath completion bash)\" in ~/.bashrc",
         "zsh": "# erfmath completion: eval \"$(erfmath completion zsh)\" in ~/.zshrc\n"
                "autoload -U +X compinit bashcompinit && compinit && bashcompinit"}


def add_completion_options(parser: argparse.ArgumentParser, whole: Callable[[], argparse.ArgumentParser]) -> None:
    """The shell; `whole` makes the parser of all commands."""
    parser.add_argument("shell", choices=tuple(HEADS), help="bash or zsh")
    parser.set_defaults(whole=whole)


def completion(options: argparse.Namespace) -> Answer:
    """``erfmath completion``: the script."""
    table = next(a for a in options.whole()._actions if isinstance(a, argparse._SubParsersAction))
    choices, words = [], []
    for name, parser in table.choices.items():
        flags = [flag for action in parser._actions for flag in action.option_strings]
        for action in parser._actions:
            if action.choices is not None and action.option_strings:
                of = "|".join(f"{name}:{flag}" for flag in action.option_strings)
                choices.append(f'        {of}) words="{" ".join(map(str, action.choices))}" ;;')
        words += [f'            {name}:-*) words="{" ".join(flags)}" ;;',
                  f'            {name}:*) words="{" ".join(_names(parser))}" ;;']
    text = SCRIPT.substitute(head=HEADS[options.shell], commands=" ".join(table.choices), choices="\n".join(choices),
                             options="\n".join(words)).rstrip()
    return Answer({"shell": options.shell, "script": text}, text)


def _names(parser: argparse.ArgumentParser) -> list[str]:
    """What completes a positional argument."""
    found: list[str] = []
    for action in parser._actions:
        if action.option_strings:
            continue
        known = {"network": em.zoo.names(), "names": list(FIGURES if "figures" in parser.prog else BENCHMARKS)}
        found += list(action.choices or known.get(action.dest, []))
    return found
