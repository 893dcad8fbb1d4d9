"""The language of a text by lingua (Rust, offline, its models in the wheel)."""

import importlib.metadata
from collections.abc import Sequence
from typing import Any

from internvid_pipeline.errors import UsageError
from internvid_pipeline.models.weights import needs_package
from internvid_pipeline.text.languages import UNKNOWN, bcp47, primary
from internvid_pipeline.text.words import is_unspaced

_MOST_CHARS = 2000  # more does not make it surer, and time is linear in the length


class LinguaIdentifier:
    """A TextIdentifier over a chosen set of languages. Fewer languages are surer and cheaper: sixteen take 2.6 s and some hundred MB at
    first use, all 75 half a minute and 1.1 GB; `is_exact` false takes a tenth of both and errs more on short texts."""

    def __init__(self, languages: Sequence[str], min_letters: int, min_confidence: float, is_exact: bool = True) -> None:
        """Raises SetupError where lingua is missing, UsageError for a language that it does not know."""
        with needs_package("the language of texts", "speech"):
            import lingua
        known = {bcp47(language.iso_code_639_1.name): language for language in lingua.Language.all()}
        known["no"] = known["nb"]
        wrong = sorted({code for code in languages if primary(code) not in known})
        if wrong:
            raise UsageError(f"text languages {', '.join(wrong)} are not known to lingua; it knows {', '.join(sorted(known))}")
        chosen = list(dict.fromkeys(known[primary(code)] for code in languages))
        builder = lingua.LanguageDetectorBuilder.from_languages(*chosen)
        self._detector: Any = (builder if is_exact else builder.with_low_accuracy_mode()).build()
        self._min_letters, self._min_confidence = min_letters, min_confidence
        self.name = f"lingua {importlib.metadata.version('lingua-language-detector')}"

    def languages(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """See `base.TextIdentifier`."""
        return [self._language(text[:_MOST_CHARS]) for text in texts]

    def _language(self, text: str) -> tuple[str, float]:
        # A character of a script without spaces says as much as several letters.
        letters = sum(3 if is_unspaced(character) else 1 for character in text if character.isalpha())
        if letters < self._min_letters:
            return UNKNOWN, 0.0
        ranked = self._detector.compute_language_confidence_values(text)
        if not ranked or ranked[0].value < self._min_confidence:
            return UNKNOWN, 0.0
        return primary(bcp47(ranked[0].language.iso_code_639_1.name)), round(float(ranked[0].value), 4)
