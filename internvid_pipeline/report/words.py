"""Frequent verbs and nouns of captions, by rules over English word forms.

A tagger would need weights, which a report must not. The rules use what captions look like ("a man is riding a red bike down the
street"): a noun is the last word of a run of words behind an article, a numeral or a possessive ("a red *bike*"), up to a preposition, a
verb, a conjunction or a stop; a verb is a form in -ing that no article stands before, or a form in -s behind the noun of
"a dog jumps". Verbs are counted by their base form, nouns by their singular. tests/report/test_words.py holds hand-tagged captions.
"""

import re
from collections import Counter
from collections.abc import Iterable

_TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?|[.,;:!?]")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_DETERMINERS = _set(
    "a an the this that these those his her its their my your our some several many two three four five six seven eight nine ten "
    "another each every both one few"
)
_BREAKS = _set(
    "in on at of by with from to into onto over under up down out off through across around along between behind before after near next "
    "and or but while as is are was were be been being has have had that which who whose when where than then for about against inside "
    "outside above below beside toward towards during without within it he she they there very not"
)
_SINGULAR = _set("a an one this another each every")
_BE = _set("is are was were be been being")
_NOT_VERBS = _set(
    "thing things something nothing anything everything king ring string spring wing ceiling morning evening building wedding clothing "
    "during following including being having interesting amazing sibling lightning pudding earring"
)
_KEEP_E = _set(
    "rid danc mak tak driv writ smil skat com giv mov us bak driv chas clos hik jok lin liv merg notic plac pos prepar "
    "rais rac rehears rescu serv shak shar shav slic smok squeez stor strik surviv tast trad typ wak wav wip cycl juggl handl paddl "
    "wrestl measur gaz glanc explor decorat celebrat creat demonstrat operat rotat illustrat compet chang arrang exercis"
)
_DOUBLED = re.compile(r"(?:([bdgmnprt])\1)$")
_ADJECTIVES = _set(
    "red blue green white black yellow orange purple pink brown gray grey dark bright dim big small large little long short old young "
    "new wooden sitting standing"
)
_FUNCTION_WORDS = _DETERMINERS | _BREAKS | _ADJECTIVES


def verb_base(form: str) -> str:
    """The base form of a form in -ing: `riding` -> `ride`, `running` -> `run`, `playing` -> `play`."""
    stem = form[:-3]
    if stem in _KEEP_E:
        return f"{stem}e"
    if _DOUBLED.search(stem) and len(stem) > 3:
        return stem[:-1]
    return stem


def singular(noun: str) -> str:
    """`bikes` -> `bike`, `boxes` -> `box`, `ladies` -> `lady`, `men` -> `man`; `glass` and `bus` stay."""
    irregular = {
        "men": "man",
        "women": "woman",
        "children": "child",
        "people": "person",
        "feet": "foot",
        "teeth": "tooth",
        "leaves": "leaf",
    }
    if noun in irregular:
        return irregular[noun]
    if len(noun) < 4 or noun.endswith(("ss", "us", "is")) or not noun.endswith("s"):
        return noun
    if noun.endswith("ies") and len(noun) > 4:
        return f"{noun[:-3]}y"
    return noun[:-2] if noun.endswith(("xes", "ches", "shes", "sses", "zes")) else noun[:-1]


def verbs_and_nouns(caption: str) -> tuple[set[str], set[str]]:
    """The verbs and nouns of one English caption, each once."""
    tokens = [*_TOKEN.findall(caption.lower()), "."]
    verbs: set[str] = set()
    nouns: set[str] = set()
    run: list[str] | None = []  # words that may still be one noun phrase; None where none can be under way
    opener = ""
    for position, token in enumerate(tokens):
        before = tokens[position - 1] if position else ""
        if _is_verb(token, before, run, opener):
            verbs.add(verb_base(token))
        elif token not in _DETERMINERS and token not in _BREAKS and token[0].isalpha():
            if run is not None:
                run.append(token)
            continue
        _end_phrase(run, opener, verbs, nouns)
        is_open = token in _DETERMINERS or token in verbs or token.endswith("ing") or not token[0].isalpha()
        run, opener = ([], token) if is_open else (None, "")
    return verbs, nouns


def _is_verb(token: str, before: str, run: list[str] | None, opener: str) -> bool:
    if not token.endswith("ing") or len(token) < 5 or token in _NOT_VERBS or token[:-3].strip("bcdfghjklmnpqrstvwxyz") == "":
        return False
    return before in _BE or run is None or len(run) > 0 or opener not in _DETERMINERS  # "a running dog" is a dog; "a dog running" runs


def _end_phrase(run: list[str] | None, opener: str, verbs: set[str], nouns: set[str]) -> None:
    """Takes the noun of a phrase, and the verb behind it in "a dog jumps": what is one thing has no plural."""
    is_owned = any(word.endswith("'s") for word in run or ())
    if run and len(run) > 1 and opener in _SINGULAR and not is_owned and run[-1].endswith("s") and not run[-1].endswith(("ss", "us")):
        verbs.add(singular(run.pop()))
    if run and run[-1] not in _FUNCTION_WORDS and len(run[-1]) > 1:
        nouns.add(singular(run[-1].removesuffix("'s")))


def count_words(captions: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
    """In how many captions each verb and each noun stands."""
    verbs, nouns = Counter[str](), Counter[str]()
    for caption in captions:
        found = verbs_and_nouns(caption)
        verbs.update(found[0])
        nouns.update(found[1])
    return verbs, nouns
