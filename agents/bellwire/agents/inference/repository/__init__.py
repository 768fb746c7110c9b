"""A folder of models in versions, and those of them that are loaded."""

from bellwire.agents.inference.repository.folder import FoundVersion, publish_version, scan
from bellwire.agents.inference.repository.repository import Lease, ModelRepository, VersionStatus
from bellwire.agents.inference.repository.settings import RepositorySettings
from bellwire.agents.inference.repository.slot import VersionState
from bellwire.agents.inference.repository.version_policy import (
    AllVersions,
    Latest,
    Specific,
    VersionPolicy,
    parse_policy,
)

__all__ = [
    "AllVersions",
    "FoundVersion",
    "Latest",
    "Lease",
    "ModelRepository",
    "RepositorySettings",
    "Specific",
    "VersionPolicy",
    "VersionState",
    "VersionStatus",
    "parse_policy",
    "publish_version",
    "scan",
]
