"""`liteflow completion SHELL`: a script with which the shell completes commands, options and files.

It is written out of the program's own commands, so pressing Tab starts no Python.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from liteflow.cli.common import examples
from liteflow.cli.output import say


class Shell(StrEnum):
    """Shells that are known."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            "liteflow completion bash >> ~/.bashrc",
            "liteflow completion zsh >> ~/.zshrc",
            "liteflow completion fish > ~/.config/fish/completions/liteflow.fish",
        )
    )
    def completion(
        context: typer.Context,
        shell: Annotated[Shell, typer.Argument(metavar="|".join(Shell), help="Which shell.")],
    ) -> None:
        """Print a script that lets the shell complete liteflow's commands, options and files."""
        program: Any = context.find_root().command
        words = {name: _options(command) for name, command in program.commands.items()}
        helps = {name: command.get_short_help_str(60) for name, command in program.commands.items()}
        say(fish(words, helps) if shell is Shell.fish else bash(words, zsh=shell is Shell.zsh))


def _options(command: Any) -> list[str]:
    flags = [flag for p in command.params for flag in (*p.opts, *p.secondary_opts) if flag.startswith("--")]
    return [*flags, "--help"]


def bash(words: Mapping[str, Sequence[str]], *, zsh: bool = False) -> str:
    """Return the script for bash, or for zsh, which can take bash's.

    Args:
        words: The options of each command.
        zsh: For zsh.

    >>> "run) options=--json" in bash({"run": ["--json"]})
    True
    """
    cases = "\n".join(f"        {name}) options={shlex.quote(' '.join(of))} ;;" for name, of in words.items())
    head = "autoload -U +X bashcompinit && bashcompinit\n" if zsh else ""
    return f"""{head}_liteflow() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" options=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W {shlex.quote(" ".join([*words, "--help", "--version"]))} -- "$word"))
        return
    fi
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
    case "$word" in
        -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
        *) COMPREPLY=($(compgen -f -- "$word")) ;;
    esac
}}
complete -o filenames -F _liteflow liteflow"""


def fish(words: Mapping[str, Sequence[str]], helps: Mapping[str, str]) -> str:
    """Return the script for fish.

    Args:
        words: The options of each command.
        helps: What each command does, in some words.

    >>> print(fish({"run": ["--json"]}, {"run": "Run it."}))
    complete -c liteflow -n __fish_use_subcommand -a run -d 'Run it.'
    complete -c liteflow -n '__fish_seen_subcommand_from run' -l json
    """
    lines = []
    for name, options in words.items():
        about = shlex.quote(helps[name])
        lines.append(f"complete -c liteflow -n __fish_use_subcommand -a {name} -d {about}")
        seen = shlex.quote(f"__fish_seen_subcommand_from {name}")
        lines += [f"complete -c liteflow -n {seen} -l {option.removeprefix('--')}" for option in options]
    return "\n".join(lines)
