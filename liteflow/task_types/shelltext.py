"""Templates in a command of the shell: each becomes a reference to an environment variable.

    echo ${{ params.day }}        echo "${NAME}"      quotes are added: no splitting, no globbing
    echo "on ${{ params.day }}"   echo "on ${NAME}"
    echo '${{ params.day }}'      an error: the shell expands nothing there

The value never becomes a part of the command, so none can inject one; quoting it as text
can't promise that (`$(...)` runs inside double quotes however the value is quoted).  This
scanner only has to know between which quotes a template stands.  If it errs, in shell that
is stranger than it knows, the value is split or shown by name, and still not run.

Source: POSIX.1-2017, Shell Command Language, 2.2 Quoting, 2.3 Token Recognition, 2.7.4 Here-Document.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from liteflow.task_types.base import spliced
from liteflow.task_types.faults import TemplateError
from liteflow.task_types.templates import Template

# <<WORD, <<-WORD, the word bare or quoted; not <<<.
_HEREDOC = re.compile(r"<<(?!<)(-?)[ \t]*(?:'([^'\n]*)'|\"([^\"\n]*)\"|((?:\\.|[^\s;&|<>()'\"\\])+))")

# Between these a ")" ends a pattern, and no $( ).
_CASE = re.compile(r"case\s+[^;&|()]{1,500}?\s+in\s")
_ESAC = re.compile(r"esac\b")
# What stands before a script that a shell is given: bash -c, sh -ec.
_STARTS_SHELL = re.compile(
    r"(?:^|[\s;&|()/])(?:ba|da|a|k|z)?sh(?:[ \t]+-[a-zA-Z]+)*[ \t]+-[a-zA-Z]*c[a-zA-Z]*[ \t]+$"
)

_REFUSED = {
    "single": (
        "the shell expands nothing inside single quotes",
        "use double quotes, or none",
    ),
    "ansi": ("the shell expands nothing inside $'...'", "use double quotes, or none"),
    "quoted heredoc": (
        "the shell expands nothing in a here-document whose word is quoted",
        "take the quotes off the word after <<",
    ),
    "arithmetic": (
        "arithmetic of the shell can run what a value holds",
        "compute it in a task of type: python",
    ),
    "backtick": ("quoting inside backticks can't be told", "use $(...) instead of backticks"),
    "script": (
        "the shell that is started there would run what the value holds",
        """pass it beside the script: sh -c 'echo "$1"' sh ${{ ... }}""",
    ),
    "brace": ("a template can't stand inside ${...}", "put it in a variable first: name=${{ ... }}"),
    "escaped": ("the shell does not expand it here", "take the backslash before it away"),
}


# Where no quotes help that stand around a template inside.
_OUTER = ("arithmetic", "backtick", "script", "brace")


def embed(text: str, templates: Sequence[Template], names: Sequence[str]) -> str:
    """Return the command with references to variables in the places of its templates.

    Raises:
        TemplateError: One stands where the shell would not expand it, or not safely.

    >>> from liteflow.task_types.templates import templates_in
    >>> text = 'grep ${{ params.word }} "${{ params.file }}"'
    >>> embed(text, templates_in(text), ["WORD", "FILE"])
    'grep "${WORD}" "${FILE}"'
    """
    scan = _Scan(text, templates)
    scan.run()
    parts = []
    for template, name in zip(templates, names, strict=True):
        context = scan.found.get(template.start, "escaped")
        if context in _REFUSED:
            raise TemplateError(text, template.start, *_REFUSED[context])
        parts.append(f'"${{{name}}}"' if context in ("bare", "substitution") else f"${{{name}}}")
    return spliced(text, templates, parts)


class _Scan:
    """Walks through a command once, with a stack of the quotes and brackets that are open."""

    def __init__(self, text: str, templates: Sequence[Template]) -> None:
        self.found: dict[int, str] = {}
        self._text = text
        self._ends = {template.start: template.end for template in templates}
        self._open = ["bare"]
        self._parentheses = [0]
        self._cases = [0]
        self._heredocs: list[tuple[str, bool, bool]] = []
        self._at = 0

    def run(self) -> None:
        steps = {
            "single": self._in_single,
            "ansi": self._in_ansi,
            "double": self._in_double,
            "script": self._in_double,
            "backtick": self._in_backtick,
        }
        while self._at < len(self._text):
            context = self._open[-1]
            if self._at in self._ends and context == "bare" and self._starts_shell():
                # The whole script is the value.
                self.found[self._at] = "script"
                self._at = self._ends[self._at]
            elif self._at in self._ends:
                # Inside these it is refused, whatever quotes stand around it there.
                self.found[self._at] = next((c for c in _OUTER if c in self._open), context)
                self._at = self._ends[self._at]
            else:
                steps.get(context, self._in_bare)()

    def _push(self, context: str, length: int) -> None:
        self._open.append(context)
        self._parentheses.append(0)
        self._cases.append(0)
        self._at += length

    def _pop(self, length: int) -> None:
        self._open.pop()
        self._parentheses.pop()
        self._cases.pop()
        self._at += length

    def _next(self, *texts: str) -> bool:
        return self._text.startswith(texts, self._at)

    def _in_single(self) -> None:
        if self._next("'"):
            self._pop(1)
        else:
            self._at += 1

    def _in_ansi(self) -> None:
        if self._next("\\"):
            self._at += 2
        else:
            self._in_single()

    def _in_double(self) -> None:
        if self._next('"'):
            self._pop(1)
        elif not self._opens():
            self._at += 1

    def _in_backtick(self) -> None:
        if self._next("\\"):
            self._at += 2
        elif self._next("`"):
            self._pop(1)
        else:
            self._at += 1

    def _opens(self) -> bool:
        """Take what opens or escapes something both inside double quotes and outside."""
        if self._next("\\"):
            self._at += 2
        elif self._next("$(("):
            self._push("arithmetic", 3)
        elif self._next("$("):
            self._push("substitution", 2)
        elif self._next("${"):
            self._push("brace", 2)
        elif self._next("`"):
            self._push("backtick", 1)
        else:
            return False
        return True

    def _in_bare(self) -> None:  # noqa: PLR0912  a list of cases
        context = self._open[-1]
        if self._next("'") and not (context == "brace" and {"double", "script"}.intersection(self._open)):
            self._push("single", 1)
        elif self._next('"'):
            self._push("script" if self._starts_shell() else "double", 1)
        elif self._next("$'"):
            self._push("ansi", 2)
        elif self._opens():
            pass
        elif context == "brace" and self._next("}"):
            self._pop(1)
        elif self._next("((") and context in ("bare", "substitution") and self._starts_word():
            self._push("arithmetic", 2)
        elif self._next("("):
            self._parentheses[-1] += 1
            self._at += 1
        elif self._next(")"):
            self._close()
        elif self._next("#") and self._starts_word() and context != "brace":
            self._comment()
        elif self._next("<<") and context in ("bare", "substitution"):
            self._heredoc()
        elif self._next("case", "esac") and context == "substitution" and self._starts_word():
            self._case()
        elif self._next("\n") and self._heredocs:
            self._bodies()
        else:
            self._at += 1

    def _starts_shell(self) -> bool:
        # No more of it is looked at than such a start takes, for a command may have megabytes.
        return _STARTS_SHELL.search(self._text[max(0, self._at - 80) : self._at]) is not None

    def _starts_word(self) -> bool:
        return self._at == 0 or self._text[self._at - 1] in " \t\n;&|()"

    def _case(self) -> None:
        if _CASE.match(self._text, self._at):
            self._cases[-1] += 1
        elif _ESAC.match(self._text, self._at) and self._cases[-1]:
            self._cases[-1] -= 1
        self._at += 4

    def _close(self) -> None:
        if self._parentheses[-1]:
            self._parentheses[-1] -= 1
            self._at += 1
        elif self._open[-1] == "arithmetic":
            self._pop(2 if self._next("))") else 1)
        elif self._open[-1] == "substitution" and not self._cases[-1]:
            self._pop(1)
        else:
            self._at += 1

    def _comment(self) -> None:
        end = self._text.find("\n", self._at)
        self._take("comment", len(self._text) if end < 0 else end)

    def _heredoc(self) -> None:
        found = _HEREDOC.match(self._text, self._at)
        if found is None:
            # << in no place for a word, or <<<, of which nothing is special.
            self._at += 3 if self._next("<<<") else 2
            return
        dash, single, double, bare = found.groups()
        quoted = bare is None or "\\" in bare
        word = next(word for word in (single, double, bare) if word is not None)
        self._heredocs.append((word.replace("\\", ""), quoted, bool(dash)))
        self._at = found.end()

    def _bodies(self) -> None:
        self._at += 1
        for word, quoted, tabs in self._heredocs:
            at = self._at
            while at < len(self._text):
                end = self._text.find("\n", at)
                end = len(self._text) if end < 0 else end
                line = self._text[at:end]
                at = min(end + 1, len(self._text))
                if (line.lstrip("\t") if tabs else line) == word:
                    break
            self._take("quoted heredoc" if quoted else "heredoc", at)
        self._heredocs.clear()

    def _take(self, context: str, end: int) -> None:
        """Pass over a stretch of text that is all of one kind."""
        self.found |= {start: context for start in self._ends if self._at <= start < end}
        self._at = max([end, *(self._ends[s] for s in self._ends if self._at <= s < end)])
