"""The only place that reads YAML: the config's model, loading with overrides, explanations, fingerprints, model presets."""

from internvid_pipeline.config.explain import FieldHelp, explain
from internvid_pipeline.config.fingerprint import changed_fields, fingerprint_of, result_fields
from internvid_pipeline.config.load import config_from, load_config
from internvid_pipeline.config.model import DatasetConfig, PlacementConfig, Section, SourceConfig, StagePlacement
from internvid_pipeline.config.validation import validated
from internvid_pipeline.config.yaml_text import from_yaml, to_yaml

__all__ = [
    "DatasetConfig",
    "FieldHelp",
    "PlacementConfig",
    "Section",
    "SourceConfig",
    "StagePlacement",
    "changed_fields",
    "config_from",
    "explain",
    "fingerprint_of",
    "from_yaml",
    "load_config",
    "result_fields",
    "to_yaml",
    "validated",
]
