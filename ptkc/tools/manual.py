"""Man pages and completion, made from the parsers of the tools and nothing else.

`TOOLS` is the list of all tools; pyproject.toml names the same ones. `page` is one man page in roff, `reference` the
same as Markdown, `completion` one script for bash that completes sub-commands, options and file names of all tools.
"""

from __future__ import annotations

import argparse
import importlib
from typing import TYPE_CHECKING

from ptkc.tools.arguments import ENVIRONMENT, EXIT_CODES

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TOOLS", "completion", "page", "parser", "reference"]

_Parser = argparse.ArgumentParser

# tool: its module in ptkc.tools
TOOLS = {
    name: name for name in (
        "ptkc", "ctconf", "ctident", "ctkmu", "ctcert", "ctlimits", "ctstat", "ctcheck", "hsmstate", "hsmreset",
    )
}  # fmt: skip

# Options whose value is a file, by what their value is called.
_FILES = ("file", "<file>", "<cert_file>", "<POC_filename>", "<PIC_filename>", "<filename>", "filename")


def parser(tool: str) -> argparse.ArgumentParser:
    """Return the parser of a tool."""
    module = importlib.import_module(f"ptkc.tools.{TOOLS[tool]}")
    made: argparse.ArgumentParser = module.parser()
    return made


def _commands(of: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the sub-commands of a parser, by name."""
    for action in of._actions:  # noqa: SLF001 - argparse has no public way to ask
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            return dict(action.choices)
    return {}


def _leaves(of: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], _Parser]]:
    """Yield (words, parser) of every sub-command that has none itself; of a tool without any, the tool."""
    commands = _commands(of)
    if not commands:
        yield words, of
    for name, below in commands.items():
        yield from _leaves(below, (*words, name))


def _options(of: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the arguments of a parser that take part in its help."""
    hidden = (argparse._SubParsersAction, argparse._HelpAction, argparse._VersionAction)  # noqa: SLF001 - as above
    return [action for action in of._actions if not isinstance(action, hidden) and action.help != argparse.SUPPRESS]  # noqa: SLF001


def _written(action: argparse.Action) -> tuple[str, str]:
    """Return an argument as it is written, and its value's name, "" if it has none."""
    value = "" if action.nargs == 0 else str(action.metavar or action.dest)
    return ", ".join(action.option_strings), value


def _help(action: argparse.Action) -> str:
    """Return an argument's help with the default filled in, as argparse does it."""
    return (action.help or "") % {**vars(action), "prog": ""} if "%(" in (action.help or "") else action.help or ""


def _synopsis(of: argparse.ArgumentParser) -> str:
    """Return the usage on one line; argparse's own differs from one Python to the next."""
    words = [of.prog]
    groups = list(of._mutually_exclusive_groups)  # noqa: SLF001 - as above
    for action in _options(of):
        group = next((group for group in groups if action in group._group_actions), None)  # noqa: SLF001 - as above
        if group is None:
            text = _usage(action)
            words.append(text if action.required or not action.option_strings else f"[{text}]")
        elif action is group._group_actions[0]:  # noqa: SLF001 - as above
            text = " | ".join(_usage(each) for each in group._group_actions)  # noqa: SLF001 - as above
            words.append(f"({text})" if group.required else f"[{text}]")
    return " ".join(words)


def _usage(action: argparse.Action) -> str:
    """Return an argument as the usage has it."""
    value = "" if action.nargs == 0 else str(action.metavar or action.dest)
    value = {"*": f"[{value} ...]", "+": f"{value} [{value} ...]", "?": f"[{value}]"}.get(str(action.nargs), value)
    if not action.option_strings and action.choices and not action.metavar:
        value = "|".join(map(str, action.choices))
    return " ".join(filter(None, (action.option_strings[0] if action.option_strings else "", value)))


# Man pages


def _roff(text: str) -> str:
    """Return text as roff: backslashes and hyphens as themselves, no control line by accident."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in text.split("\n"))


def _roff_options(of: argparse.ArgumentParser) -> list[str]:
    """Return the arguments of a parser as a list in roff."""
    lines = []
    for action in _options(of):
        names, value = _written(action)
        head = [f"\\fB{_roff(names)}\\fR"] if names else []
        head += [f"\\fI{_roff(value)}\\fR"] if value else []
        lines += [".TP", " ".join(head), _roff(_help(action))]
    return lines


def page(tool: str) -> str:
    """Return a tool's man page, section 1, in roff."""
    top = parser(tool)
    lines = [
        f'.TH {tool.upper()} 1 "" "ptkc" "ptkc"',
        ".SH NAME", f"{tool} \\- {_roff(_first(top))}",
        ".SH SYNOPSIS",
    ]  # fmt: skip
    leaves = list(_leaves(top))
    for _, leaf in leaves:
        name, _, rest = _synopsis(leaf).partition(" ")
        lines += [f"\\fB{name}\\fR {_roff(rest)}", ".br"]
    lines += [".SH DESCRIPTION", _roff(top.description or "")]
    if leaves[0][0]:
        lines.append(".SH COMMANDS")
        for words, leaf in leaves:
            lines += [f".SS {tool} {' '.join(words)}", _roff(leaf.description or ""), *_roff_options(leaf)]
    else:
        lines += [".SH OPTIONS", *_roff_options(top)]
    variables = getattr(top, "environment", ())
    if variables:
        lines.append(".SH ENVIRONMENT")
        for name in variables:
            lines += [".TP", f"\\fB{name}\\fR", _roff(ENVIRONMENT[name])]
    lines.append(".SH EXIT STATUS")
    for code, what in EXIT_CODES:
        lines += [".TP", f"\\fB{code}\\fR", _roff(what)]
    examples = [example for _, leaf in [((), top), *leaves] for example in getattr(leaf, "examples", ())]
    if examples:
        lines.append(".SH EXAMPLES")
        for line, what in dict(examples).items():
            lines += [".TP", f"\\fB{_roff(line)}\\fR", _roff(what)]
    others = ", ".join(f"\\fB{name}\\fR(1)" for name in TOOLS if name != tool)
    return "\n".join([*lines, ".SH SEE ALSO", others]) + "\n"


def _first(of: argparse.ArgumentParser) -> str:
    """Return the first sentence of a parser's description without its full stop."""
    return (of.description or "").partition(". ")[0].rstrip(".")


# Markdown


def _text(text: str) -> str:
    """Return text as Markdown on one line: what is in angle brackets is no tag, outside of code."""
    parts = " ".join(text.split()).split("`")
    return "`".join(part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(parts))


def reference(tool: str) -> str:
    """Return the commands and options of a tool as Markdown, below a heading of level 2."""
    top = parser(tool)
    lines = [f"## {tool}", "", _text(top.description or ""), ""]
    for words, leaf in _leaves(top):
        if words:
            lines += [f"### {tool} {' '.join(words)}", "", _text(leaf.description or ""), ""]
        lines += ["```", _synopsis(leaf), "```", ""]
        rows = []
        for action in _options(leaf):
            names, value = _written(action)
            cells = (f"`{f'{names} {value}'.strip()}`", _text(_help(action)))
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        if rows:
            lines += ["| argument | meaning |", "| --- | --- |", *rows, ""]
        examples = getattr(leaf, "examples", ())
        lines += [f"* `{line}`: {what}" for line, what in examples] + [""] * bool(examples)
    examples = getattr(top, "examples", ()) if _commands(top) else ()
    lines += [f"* `{line}`: {what}" for line, what in examples] + [""] * bool(examples)
    return "\n".join(lines)


# Completion

_BASH = """\
# bash completion of ptkc's tools, made by `ptkc completion bash`: eval "$(ptkc completion bash)"
_ptkc_words() {
  case "$1" in
%s
  esac
}
_ptkc() {
  local current="${COMP_WORDS[COMP_CWORD]}" path="${COMP_WORDS[0]##*/}" word found last="none"
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    last="$word"
    [ -n "$(_ptkc_words "$path $word")" ] && path="$path $word"
  done
  found="$(_ptkc_words "$path")"
  case " $(_ptkc_words "files $path") " in
    *" $last "*) COMPREPLY=($(compgen -f -- "$current")); return;;
    *" * "*) case "$current" in -*) ;; *) COMPREPLY=($(compgen -f -- "$current")); return;; esac;;
  esac
  COMPREPLY=($(compgen -W "$found" -- "$current"))
}
complete -F _ptkc %s
"""


def completion() -> str:
    """Return the completion of all tools as a script for bash."""
    cases = []
    for tool in TOOLS:
        for words, found in _walk(parser(tool), (tool,)):
            options = [name for action in _options(found) for name in action.option_strings]
            choices = [str(choice) for action in _options(found) for choice in _places(action)]
            cases.append((" ".join(words), [*_commands(found), *choices, *options, "--help"]))
            files = [action for action in _options(found) if action.metavar in _FILES]
            named = [name for action in files for name in action.option_strings or ("*",)]
            if named:
                cases.append((f"files {' '.join(words)}", named))
    lines = [f"    '{words}') echo '{' '.join(values)}';;" for words, values in cases]
    return _BASH % ("\n".join(lines), " ".join(TOOLS))


def _places(action: argparse.Action) -> Iterator[object]:
    """Yield the values of an argument that is no option."""
    if not action.option_strings:
        yield from action.choices or ()


def _walk(of: argparse.ArgumentParser, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], _Parser]]:
    """Yield (words, parser) of a parser and everything below it."""
    yield words, of
    for name, below in _commands(of).items():
        yield from _walk(below, (*words, name))
