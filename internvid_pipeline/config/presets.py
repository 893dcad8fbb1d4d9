"""Model presets: which model, at which commit, asked how. One YAML file each in `configs/models/`.

A stage's config names a model by its preset (`model: blip2-opt-2.7b`), by a path to a YAML file, or spells the fields out.
"""

import difflib
import importlib.resources
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from internvid_pipeline.config.model import Section
from internvid_pipeline.config.validation import validated
from internvid_pipeline.config.yaml_text import parse_yaml
from internvid_pipeline.errors import UsageError

STAND_IN = "stand-in"
# Version of the deterministic stand-ins, in place of a commit. Raise it whenever `models/stand_ins.py` would answer otherwise: it is part
# of the fingerprint.
STAND_IN_VERSION = "v1"

_CREDENTIALS = re.compile(r"://[^/]*@|[?&]")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PLACEMENT: dict[str, Any] = {"fingerprint": False}

Task = Literal[
    "caption", "summary", "video_caption", "alignment", "video_alignment", "aesthetic", "safety", "watermark", "text_overlay", "speech"
]
# Adapters without weights of their own: a deterministic stand-in, a server that has them, a package that brings them.
ENDPOINT = "openai"
_IN_THE_PACKAGE = "rapidocr"
# Adapters of models whose code lies in their repository.
_REMOTE_CODE = frozenset({"viclip"})
_LABEL = re.compile(r"[\w.:+-]{1,80}")


def _is_folder(repository: str) -> bool:
    return repository.startswith(("/", "./", "../", "~/"))


def _is_uri(repository: str) -> bool:
    return "://" in repository


class EndpointConfig(Section):
    """A server that speaks OpenAI's chat completions (vLLM, SGLang, a provider's), and how hard it may be worked."""

    url: str = Field(description="Address up to `/v1`, such as http://localhost:8000/v1.", pattern=r"^https?://[^\s@]+$")
    api_key_variable: str = Field(
        default="", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$|^$", description="Environment variable that holds the key; empty: none is sent."
    )
    max_in_flight: int = Field(default=64, ge=1, le=4096, description="Requests under way at once, of one worker.")
    requests_per_s: float | None = Field(default=None, gt=0, description="Most requests begun per second by one worker; null: no bound.")
    timeout_s: float = Field(
        default=120.0, gt=0, le=3600, description="Seconds without a byte after which a request is given up and repeated."
    )
    attempts: int = Field(
        default=8, ge=1, le=100, description="Failures of the server (5xx, cut connections) on one clip, while it answers others."
    )
    patience_s: float = Field(
        default=600.0,
        ge=0,
        description="Seconds for which a server that answers nothing, or 429, is asked again before the partition is given back.",
    )


class ModelPreset(Section):
    """One model and how it is asked. Every field but endpoint, trust_remote_code, batch_pixels, gpus, memory_mb and batch_size changes
    results and is in the fingerprint."""

    name: str = Field(description="Name of the preset; its file name where it has one.", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")
    task: Task = Field(
        description="What the model does: caption (picture to text), summary (text to text), video_caption (several frames with times "
        "to text), alignment (picture and text to a score), video_alignment (several frames and a text), aesthetic (embedding to a score), "
        "safety and watermark (picture to a probability), text_overlay (picture to the words in it), speech (sound to text)."
    )
    adapter: str = Field(
        description="Code that runs it: blip2, seq2seq, instruct, transformers, vllm, openai, open_clip, xclip, viclip, linear_head, "
        "image_classifier, rapidocr, faster-whisper, whisper, or stand-in (deterministic, no weights).",
        pattern=r"^[a-z0-9_-]+$",
    )
    repository: str = Field(
        default="",
        validate_default=True,
        description="Hub id (org/name); a local folder (a file, for a linear head) written as /path, ./path, ../path or ~/path, a relative "
        "one meant from the preset's file; a URI of an object store (s3://…) or an address; for an endpoint the model's name there; empty "
        "for a stand-in and for what its package brings.",
    )
    commit: str = Field(
        default="",
        validate_default=True,
        description="Full commit of the Hub repository (40 hexadecimal digits): branches move, results must not. For a URI, an endpoint or "
        "a package its version or another label that changes with the weights; optional for a local folder. Filled in for a stand-in.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8", "int8_float16"] = Field(
        default="auto",
        description="Number format of the weights; auto: bfloat16 on a GPU that has it, else float32 (faster-whisper: float16 on a "
        "GPU, int8 on a CPU). int8 and int8_float16: faster-whisper only.",
    )
    prompt: str | None = Field(default=None, max_length=4000, description="What the model is asked; null where it takes no prompt.")
    max_new_tokens: int = Field(
        default=30, ge=1, le=4096, description="Longest answer in tokens; 30 as in BLIP-2's own code (LAVIS, blip2_opt)."
    )
    max_input_tokens: int = Field(default=512, ge=8, le=131072, description="A longer text is cut; 512 is what T5 was trained with.")
    quick_gelu: bool = Field(default=False, description="open_clip only: OpenAI's CLIP weights were trained with QuickGELU.")
    base_model: str = Field(default="", description="linear_head only: the model whose embeddings it was trained on, as rows call it.")
    unsafe_labels: tuple[str, ...] = Field(
        default=(), description="image_classifier only: classes whose probabilities add up to the score: the unsafe, the watermarked ones."
    )
    endpoint: EndpointConfig | None = Field(default=None, description="openai only: the server.", json_schema_extra=_PLACEMENT)
    trust_remote_code: bool = Field(
        default=False,
        description="Runs Python code that the repository brings, at exactly the preset's commit: read it there before you say true. Only "
        "for adapters that cannot do without (viclip).",
        json_schema_extra=_PLACEMENT,
    )
    batch_pixels: int = Field(
        default=50_000_000,
        ge=1,
        description="Pixels of frames in one forward pass of a video captioner; our guess for 80 GB and 8 billion weights.",
        json_schema_extra=_PLACEMENT,
    )
    gpus: float = Field(default=0.0, ge=0, le=64, description="GPUs of one worker, fractions allowed.", json_schema_extra=_PLACEMENT)
    memory_mb: int = Field(default=4000, ge=64, description="Main memory of one worker.", json_schema_extra=_PLACEMENT)
    batch_size: int = Field(default=8, ge=1, le=4096, description="Pictures or texts in one forward pass.", json_schema_extra=_PLACEMENT)

    @field_validator("repository")
    @classmethod
    def _is_a_place(cls, repository: str, info: ValidationInfo) -> str:
        adapter = info.data.get("adapter")
        if adapter in (STAND_IN, _IN_THE_PACKAGE):
            if repository:
                raise ValueError(f"a {adapter} has no weights of its own; leave repository out")
        elif adapter == ENDPOINT:
            if not repository:
                raise ValueError("write the model's name as the endpoint knows it")
        elif _is_uri(repository):
            if _CREDENTIALS.search(repository):
                raise ValueError("credentials in a URI would end up in tables and logs; leave them to the driver's environment variables")
        elif not _is_folder(repository) and not _HUB_ID.fullmatch(repository):
            raise ValueError("write a Hub id such as org/name, or a local folder as /path, ./path, ../path or ~/path")
        return repository

    @field_validator("commit")
    @classmethod
    def _is_pinned(cls, commit: str, info: ValidationInfo) -> str:
        repository = info.data.get("repository")
        if info.data.get("adapter") == STAND_IN:
            if commit not in ("", STAND_IN_VERSION):
                raise ValueError(f"this release has version {STAND_IN_VERSION} of the stand-ins; leave commit out")
            return STAND_IN_VERSION
        if info.data.get("adapter") in (ENDPOINT, _IN_THE_PACKAGE) or (repository and _is_uri(repository)):
            if not _LABEL.fullmatch(commit):
                raise ValueError("write the version, date or commit of the weights behind it, without blanks")
        elif repository and not _is_folder(repository) and not _COMMIT.fullmatch(commit):
            raise ValueError(f"write the full commit, 40 hexadecimal digits; `hf models info {repository}` prints the newest as sha")
        return commit

    @model_validator(mode="after")
    def _endpoint_is_given(self) -> "ModelPreset":
        if (self.adapter == ENDPOINT) != (self.endpoint is not None):
            raise ValueError("adapter openai and field endpoint belong together; give both or none")
        return self

    @model_validator(mode="after")
    def _remote_code_is_opted_into(self) -> "ModelPreset":
        if self.trust_remote_code != (self.adapter in _REMOTE_CODE):
            if self.trust_remote_code:
                raise ValueError(f"adapter {self.adapter} runs no code of a repository; leave trust_remote_code out")
            where = f"{self.repository} at commit {self.commit or '(none is given)'}"
            raise ValueError(f"adapter {self.adapter} runs Python code of {where}: read it there, then write trust_remote_code: true")
        if self.trust_remote_code and not self.commit:
            raise ValueError(f"trust_remote_code needs a commit, or for a folder a label of its version: {self.repository} has none")
        return self

    @property
    def is_stand_in(self) -> bool:
        """A deterministic stand-in and no model."""
        return self.adapter == STAND_IN

    @property
    def is_local(self) -> bool:
        """The weights lie in a local folder and not on the Hub."""
        return _is_folder(self.repository)

    @property
    def is_uri(self) -> bool:
        """The weights lie in an object store or behind an address."""
        return _is_uri(self.repository)

    @property
    def brings_no_files(self) -> bool:
        """There is nothing to fetch: a stand-in, an endpoint, or weights inside a package."""
        return self.adapter in (STAND_IN, ENDPOINT, _IN_THE_PACKAGE)

    @property
    def published_name(self) -> str:
        """What rows call the model: its Hub id, else the preset's name (a folder or bucket of one's own says nothing elsewhere)."""
        return self.name if self.is_local or self.is_uri or not self.repository else self.repository

    @property
    def published_commit(self) -> str:
        """The commit, or `local` for a folder without a label."""
        return self.commit or "local"


def configs_dir() -> Path:
    """The folder of shipped configs: inside the package where it was installed from a wheel, beside it in a checkout."""
    package = Path(str(importlib.resources.files("internvid_pipeline")))
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def load_preset(name_or_path: str) -> ModelPreset:
    """The preset of a bare name, or of a YAML file (relative to the current folder) where the argument ends in .yaml.

    Raises UsageError: unknown name (with the known ones and the nearest), unreadable file, wrong field, missing commit.
    """
    is_path = name_or_path.endswith((".yaml", ".yml"))
    file = Path(name_or_path).expanduser() if is_path else _shipped(name_or_path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read model preset {file}: {getattr(error, 'strerror', None) or error}") from error
    try:
        fields = parse_yaml(text)
    except UsageError as error:
        raise UsageError(f"model preset {file} is not YAML that we read: {error}") from error
    if not isinstance(fields, dict):
        raise UsageError(
            f"model preset {file} holds {type(fields).__name__}; a preset is a mapping with name, task, adapter, repository, commit"
        )
    folder = fields.get("repository")
    if isinstance(folder, str) and folder.startswith(("./", "../")):
        fields["repository"] = str((file.parent / folder).resolve())
    return validated(ModelPreset, {"name": file.stem, **fields}, f"model preset {file}")


def preset_names() -> list[str]:
    """Names of the shipped presets, in alphabetical order."""
    return sorted(file.stem for file in (configs_dir() / "models").glob("*.yaml"))


def _shipped(name: str) -> Path:
    known = preset_names()
    if name in known:
        return configs_dir() / "models" / f"{name}.yaml"
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(f"no model preset {name!r}: known are {', '.join(known)}, or give a path ending in .yaml{hint}")


def _resolved(value: Any) -> Any:
    return load_preset(value) if isinstance(value, str) else value


# A field of a stage's config: a preset's name or path, or its fields.
PresetField = Annotated[ModelPreset, BeforeValidator(_resolved)]
