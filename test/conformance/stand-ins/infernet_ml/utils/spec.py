"""What infernet-client 1.4.0 takes from infernet-ml: a type that appears in annotations only."""

from typing import Any

ServiceResources = dict[str, Any]
