"""The parts of udpr.h, for the generators of the reference: filter.py for Doxygen, man.py for the man pages."""

import re
import typing

CHAPTER = re.compile(r"^/\* ---- (.*) ---- \*/$", re.M)
_COMMENT = r"/\*\*((?:(?!\*/).)*)\*/\n"
_FUNCTION = re.compile(rf"{_COMMENT}UDPR_API ([^;]*?)(udpr_\w+)\(([^;]*)\);", re.S)
_CALLBACK = re.compile(rf"{_COMMENT}typedef ([^;{{}}]*?)\(\*(udpr_\w+_fn)\)\(([^;]*)\);", re.S)
_COMPOUND = re.compile(rf"{_COMMENT}typedef (struct|enum) (udpr_\w+) \{{(.*?)\}} \3;", re.S)
_MEMBER = re.compile(rf"{_COMMENT}\s*([^\n]*?(\w+)(?:\[\d+\]|(?: = -?\d+))?)[;,]?\n", re.S)


class Function(typing.NamedTuple):
    """A function, or the type of a callback."""

    name: str
    text: str  # its comment
    result: str
    parameters: list


class Member(typing.NamedTuple):
    name: str
    text: str
    declaration: str


class Compound(typing.NamedTuple):
    """A struct or an enum."""

    kind: str
    name: str
    text: str
    members: list


def plain(comment):
    """The text of a comment, without the stars at its lines."""
    return re.sub(r"^\s*\*+ ?", "", comment, flags=re.M).strip()


def paragraphs(text):
    return [paragraph.strip("\n") for paragraph in re.split(r"\n\s*\n", text)]


class Header:
    def __init__(self, text):
        self.head = plain(re.match(r"/\*(.*?)\*/", text, re.S)[1])
        titles = CHAPTER.split(text)[1:]
        self.chapters = [(title, self._functions(_FUNCTION, part)) for title, part in zip(titles[::2], titles[1::2])]
        self.functions = [function for _, functions in self.chapters for function in functions]
        self.callbacks = self._functions(_CALLBACK, text)
        self.compounds = [self._compound(*found) for found in _COMPOUND.findall(text)]
        self.constants = set(re.findall(r"^  (UDPR_\w+) = ", text, re.M))

    def meaning(self, constant):
        """The comment of a number, such as a status."""
        return next(one.text for compound in self.compounds for one in compound.members if one.name == constant)

    @staticmethod
    def _functions(pattern, text):
        return [
            Function(name, plain(comment), result.replace("struct ", ""), _split(parameters))
            for comment, result, name, parameters in pattern.findall(text)
        ]

    @staticmethod
    def _compound(comment, kind, name, body):
        members = [Member(member, plain(text), declaration.replace("struct ", "")) for text, declaration, member in _MEMBER.findall(body)]
        return Compound(kind, name, plain(comment), members)


def _split(parameters):
    return [] if parameters == "void" else [one.strip().replace("struct ", "") for one in parameters.split(",")]


def brief(text):
    """The first sentence of a comment, or its first clause, as the line of an index."""
    text = re.sub(r"`|\[any thread[^]]*\]|\s*\([^)\d][^)]*\)", "", " ".join(text.split()))
    first = re.split(r"[.:;] |\.$", text.strip())[0]
    return first if first[1:2].isupper() else first[0].lower() + first[1:]
