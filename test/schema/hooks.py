"""What schemathesis cannot know: ids that exist, containers that run, and where made-up nodes may be.

Only cases that are meant to be valid are changed, but for the address of a node: whatever a case wants to register must
not make the gateway connect to a stranger. Choices follow a counter, so that a run with the same seed repeats itself.
"""

import itertools
import json
import os
from urllib.parse import urlsplit

import schemathesis
from schemathesis.generation import GenerationMode

IDS = json.loads(os.environ["SCHEMA_TEST_IDS"])
# A container that fails cuts its stream off, as it should; schemathesis would call that a network error.
STREAMED = [["echo"], ["openai-inference-streaming-0.0.1"], ["internal"]]
CONTAINERS = [["echo"], ["step-one", "step-two"], ["always-fails"], ["prover"], ["internal"], ["echo", "echo"]]
counter = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    number = next(counter)
    make_harmless(case, number)
    if case.meta is not None and case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    write_integers_plainly(case)
    use_known_ids(case, number)
    use_known_containers(case, number)


def write_integers_plainly(case):
    """To JSON schema 7.0 is an integer; in a subscription, whose bytes are signed, it is none."""
    body = case.body
    if not isinstance(body, dict):
        return
    for part in (body.get("signature"), body.get("subscription")):
        if isinstance(part, dict):
            for key, value in part.items():
                if isinstance(value, float) and value.is_integer():
                    part[key] = int(value)


def make_harmless(case, number):
    """Nodes are at a port of this machine where nobody listens."""
    body = case.body
    if isinstance(body, dict) and isinstance(body.get("url"), str) and can_be_url(body["url"]):
        body["url"] = f"http://127.0.0.1:1/{number}"


def can_be_url(text):
    return 0 < len(text) <= 2000


def use_known_ids(case, number):
    """Two times in three. What removes or drains takes nodes that are there for that."""
    if not case.path_parameters or "id" not in case.path_parameters or number % 3 == 0:
        return
    path = case.operation.path
    if path.startswith("/admin/nodes"):
        kind = "nodes" if case.method.upper() == "GET" else "spareNodes"
    elif path.startswith("/admin/jobs"):
        kind = "jobs"
    else:
        return
    case.path_parameters["id"] = IDS[kind][number % len(IDS[kind])]


def use_known_containers(case, number):
    body = case.body
    if isinstance(body, dict) and "containers" in body and number % 3 != 0:
        known = STREAMED if case.operation.path == "/api/jobs/stream" else CONTAINERS
        body["containers"] = known[number % len(known)]
    if isinstance(body, list) and number % 2:
        body.append({"containers": CONTAINERS[number % len(CONTAINERS)], "data": {"number": number}})
    if isinstance(case.query, dict) and "id" in case.query and number % 3 != 0:
        case.query["id"] = [IDS["jobs"][number % len(IDS["jobs"])]]
