"""The one place that loads FAISS, which is heavy and optional."""

from typing import Any

from internvid_pipeline.errors import SetupError


def load_faiss() -> Any:
    """The package. Raises SetupError where it is not installed."""
    try:
        import faiss
    except ImportError as error:
        raise SetupError("doubles are found with FAISS, which is not installed: pip install 'internvid-pipeline[dedupe]'") from error
    return faiss
