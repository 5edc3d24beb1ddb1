"""man.py HEADER VERSION OVERVIEW DIRECTORY: writes man pages into DIRECTORY.

man3 gets a page for each function and type of the header. man7 gets OVERVIEW, docs/udpr.7.in, with an index of them.
"""

import pathlib
import re
import shutil
import sys

from header import Header, brief, paragraphs

WIDTH = 76  # columns of a line of the synopsis
ANY_THREAD = re.compile(r"\s*\[(any thread[^]]*)\]")
STATUS = r"UDPR_(?:E_\w+(?: - E\w+)?|OK|PENDING)\b"
STATUSES = re.compile(rf"{STATUS}(?:(?:, | or | and ){STATUS})*")
ONE_THREAD = "If a thread is inside the reactor, only that thread may call it; otherwise any thread may."
WRONG_THREAD = r" Another thread gets \fBUDPR_E_WRONG_THREAD\fP: see \fBudpr\fP(7)."


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def synopsis(start, parameters, end=");"):
    """A declaration with its name in bold, and with one parameter a line if it is too long."""
    line = f"{start}({', '.join(parameters) or 'void'}{end}"
    if len(line) > WIDTH:
        line = f"{start}(\n    " + ",\n    ".join(parameters) + end
    return re.sub(r"(\w+)(\)?\()", r"\\fB\1\\fP\2", escape(line), count=1)


class Pages:
    def __init__(self, header, version, date):
        self.header, self.version, self.date = header, version, date
        self.callbacks = {one.name: one for one in header.callbacks}
        self.all = [*header.functions, *header.callbacks, *header.compounds]
        self.names = {one.name for one in self.all}

    def page(self, one):
        kind = "compound" if hasattr(one, "members") else "callback" if one.name in self.callbacks else "function"
        sections = getattr(self, kind)(one)
        pages = {f"{name}(3)" for name in set(re.findall(r"\budpr_\w+", str(one))) & self.names - {one.name}}
        pages |= set(re.findall(r"\b[a-z]\w+\([2-7]\)", one.text))
        lines = [
            f'.TH {one.name} 3 "{self.date}" "udpr {self.version}"',
            ".SH NAME",
            rf"{one.name} \- {escape(brief(one.text))}",
            ".SH LIBRARY",
            r"UDP reactor (libudpr, \-ludpr)",
            ".SH SYNOPSIS",
            ".nf",
            ".B #include <udpr/udpr.h>",
            *sections,
            ".SH SEE ALSO",
            ",\n".join(rf"\fB{page[:-3]}\fP{page[-3:]}" for page in (*sorted(pages), "udpr(7)")),
        ]
        return "\n".join(lines) + "\n"

    def function(self, function):
        lines = [".PP", synopsis(function.result + function.name, function.parameters)]
        for name in (one.split()[0] for one in function.parameters):
            if name in self.callbacks and self.typedef(name) not in lines:
                lines += [".PP", self.typedef(name)]
        return [*lines, *self.description(function), *self.results(function), ".SH THREADS", self.threads(function)]

    def callback(self, callback):
        return [".PP", self.typedef(callback.name), *self.description(callback)]

    def typedef(self, name):
        callback = self.callbacks[name]
        return synopsis(f"typedef {callback.result}(*{name})", callback.parameters)

    def compound(self, compound):
        comma, semicolon = (",", "") if compound.kind == "enum" else ("", ";")
        members = [f"    {one.declaration}{semicolon}" for one in compound.members]
        declaration = "\n".join([f"typedef {compound.kind} {compound.name} {{", f"{comma}\n".join(members), f"}} {compound.name};"])
        lines = [".PP", escape(declaration), *self.description(compound)]
        for one in compound.members:
            lines += [".TP", rf"\fB{one.name}\fP", self.prose(one.text, compound.name)]
        return lines

    def description(self, one):
        lines = [".fi", ".SH DESCRIPTION"]
        text = [part for part in paragraphs(ANY_THREAD.sub("", one.text)) if not part.startswith("Returns:")]
        for number, part in enumerate(text):
            lines += [".PP"] if number else []
            lines += [".nf", escape(part), ".fi"] if part.startswith(" ") else [self.prose(part, one.name)]
        return lines

    def results(self, function):
        """The statuses in "Returns: UDPR_OK; UDPR_E_X if ...; ...", each with its reason or, without one, its meaning."""
        text = next((" ".join(one[8:].split()) for one in paragraphs(function.text) if one.startswith("Returns:")), None)
        if not text:
            return []
        text, _, rest = text.partition(". ")
        lines = [".SH RETURN VALUE"]
        for item in re.split(r"; (?![^(]*\))", text.rstrip(".")):
            statuses = STATUSES.match(item)
            if statuses:
                reason, meaning = item[statuses.end() :], self.header.meaning(re.match(r"\w+", item)[0])
                lines += [".TP", rf"\fB{escape(statuses[0])}\fP"]
                lines += [self.prose(meaning, function.name)] if reason[:1] in ("", ",") else []
                lines += [self.sentence(reason.lstrip(", "), function.name)] if reason else []
            else:
                lines += [".PP", self.sentence(item, function.name)] if len(lines) > 1 else [self.sentence(item, function.name)]
        return lines + ([".PP", self.sentence(rest, function.name)] if rest else [])

    @staticmethod
    def threads(function):
        marked = ANY_THREAD.search(function.text)
        if marked:
            signal = " It is safe in a signal handler, and keeps errno." if "signal safe" in " ".join(marked[1].split()) else ""
            return f"Any thread may call it at any time.{signal}"
        return ONE_THREAD + (WRONG_THREAD if function.result.strip() == "udpr_status" else r" See \fBudpr\fP(7).")

    def sentence(self, text, name):
        first = text.split()[0].strip(",")
        return self.prose((text[0].upper() + text[1:] if first.isalpha() else text).rstrip(".") + ".", name)

    def prose(self, text, name):
        """Escapes text, and marks the names in it: other pages with their section, parameters in italics."""

        def mark(found):
            word = found[1] or found[2]
            if word in self.names and word != name:
                return rf"\fB{word}\fP(3)"
            return rf"\fB{word}\fP" if word.startswith(("udpr_", "UDPR_")) else rf"\fI{word}\fP"

        return re.sub(r"`([^`]+)`|\b((?:udpr|UDPR)_\w+)", mark, escape(" ".join(text.split())))

    def index(self):
        """The functions by chapter and the types, in mdoc(7)."""
        kinds = {"struct": "structs", "enum": "numbers"}
        types = {title: [one for one in self.header.compounds if one.kind == kind] for kind, title in kinds.items()}
        lines = [".Sh FUNCTIONS"]
        for title, chapter in self.header.chapters:
            lines += self.index_of(title, chapter)
        lines += [".Sh TYPES"]
        for title, compounds in {**types, "callbacks": self.header.callbacks}.items():
            lines += self.index_of(title, compounds)
        return "\n".join(lines)

    @staticmethod
    def index_of(title, entries):
        lines = [f".Ss {title.capitalize()}", ".Bl -tag -width Ds -compact"]
        for one in entries:
            lines += [f".It Xr {one.name} 3", escape(brief(one.text))]
        return [*lines, ".El"]


def main(header, version, overview, directory):
    overview = pathlib.Path(overview).read_text(encoding="utf-8")
    pages = Pages(Header(pathlib.Path(header).read_text(encoding="utf-8")), version, re.search(r"^\.Dd (.*)", overview, re.M)[1])
    for section in ("man3", "man7"):
        shutil.rmtree(pathlib.Path(directory, section), ignore_errors=True)
        pathlib.Path(directory, section).mkdir(parents=True)
    for one in pages.all:
        pathlib.Path(directory, "man3", f"{one.name}.3").write_text(pages.page(one), encoding="utf-8")
    overview = overview.replace("@PROJECT_VERSION@", version).replace("@INDEX@", pages.index())
    pathlib.Path(directory, "man7/udpr.7").write_text(overview, encoding="utf-8")


main(*sys.argv[1:])
