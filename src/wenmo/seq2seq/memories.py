"""Sentence pairs from translation memories (TMX)."""

from __future__ import annotations

from collections import Counter
from xml.etree import ElementTree

from wenmo.corpus.inputs import Source
from wenmo.errors import InputError, OptionError
from wenmo.seq2seq.pairs import Pair, Pairs, language_named, name_languages

_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def memory_pairs(sources: list[Source], first: str | None, second: str | None) -> Pairs:
    """Reads the translation units of TMX files that are in two languages.

    Args:
        sources: The files.
        first: Language of the source, as a code or name; the first that occurs when not given.
        second: Language of the target; the next one that occurs when not given.

    Raises:
        InputError: When a file is damaged, or there are no two languages.
        OptionError: When a named language does not occur.
    """
    units: list[tuple[dict[str, str], str]] = []
    dropped: Counter[str] = Counter()
    for source in sources:
        try:
            with source.open() as stream:
                for number, (_, element) in enumerate(_elements(stream), 1):
                    texts = {
                        (tuv.get(_LANG) or tuv.get("lang") or "").lower(): "".join(seg.itertext())
                        for tuv in element.iter("tuv")
                        if (seg := tuv.find("seg")) is not None
                    }
                    units.append((texts, f"{source.label}, unit {number}"))
                    element.clear()
        except (ElementTree.ParseError, OSError, UnicodeError) as error:
            raise InputError(f"{source.label} cannot be read as TMX: {error}; export it again") from error
    counts = Counter(language for texts, _ in units for language in texts)
    wanted = [
        _memory_language(counts, first, "--source-field"),
        _memory_language(counts, second, "--target-field"),
    ]
    for language in dict.fromkeys(language for texts, _ in units for language in texts):
        for side in (0, 1):
            if wanted[side] is None and language not in wanted:
                wanted[side] = language
    source_language, target_language = wanted
    if source_language is None or target_language is None:
        raise InputError(
            f"{sources[0].label}: units in two languages are needed, and it has {', '.join(counts) or 'none'}"
        )
    rows = []
    for texts, place in units:
        if source_language in texts and target_language in texts:
            rows.append(Pair(texts[source_language], texts[target_language], place))
        else:
            dropped[f"a unit without {source_language} and {target_language}"] += 1
    languages = name_languages(rows, (source_language, target_language))
    return Pairs(rows, languages, dropped, [f"units: from {source_language} to {target_language}"])


def _elements(stream: object) -> list[tuple[str, ElementTree.Element]]:
    """The translation units of a TMX document."""
    parser: ElementTree.XMLPullParser[ElementTree.Element] = ElementTree.XMLPullParser(["end"])
    found: list[tuple[str, ElementTree.Element]] = []
    while block := stream.read(1 << 20):  # type: ignore[attr-defined]
        parser.feed(block)
        found += [(event, element) for event, element in parser.read_events() if element.tag == "tu"]  # type: ignore[misc, union-attr]
    parser.close()
    return found


def _memory_language(counts: Counter[str], wanted: str | None, option: str) -> str | None:
    if wanted is None:
        return None
    match = next(
        (name for name in counts if name == wanted.lower() or language_named(name) == wanted.lower()), None
    )
    if match is None:
        raise OptionError(f"{option}: no unit is in {wanted!r}; the languages are {', '.join(counts)}")
    return match
