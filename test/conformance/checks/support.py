"""What the checks share: the client in front of the gateway, the same in front of a node, and raw requests."""

import os
import unittest
from asyncio import gather, get_running_loop, sleep
from time import monotonic
from urllib.parse import quote

from aiohttp import ClientSession, ClientTimeout
from infernet_client.error import APIError
from infernet_client.node import NodeClient

GATEWAY_URL = os.environ["GATEWAY_URL"]
NODE_URL = os.environ["NODE_URL"]
FLEET_URLS = os.environ["FLEET_URLS"].split(",")
CHAIN_URL = os.environ["CHAIN_URL"]
COORDINATOR = os.environ["COORDINATOR"]

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


def echo(**data):
    return {"containers": ["echo"], "data": data}


def delay(ms):
    return {"containers": ["delay"], "data": {"ms": ms}}


class Check(unittest.IsolatedAsyncioTestCase):
    """A check has its name in its docstring. `gateway` and `node` are the official client."""

    maxDiff = 2_000

    gateway = NodeClient(GATEWAY_URL)
    node = NodeClient(NODE_URL)

    async def asyncSetUp(self):
        # unittest switches asyncio's debug mode on, which is slow and reports large bodies as blocking.
        get_running_loop().set_debug(False)

    async def both(self, use):
        """What `use` makes of the gateway and of a node."""
        return await gather(use(self.gateway), use(self.node))

    async def same(self, use):
        """The one answer that `use` gets of the gateway and of a node."""
        through_gateway, direct = await self.both(use)
        self.assertEqual(through_gateway, direct)
        return through_gateway

    async def finished(self, client, *ids, seconds=20):
        """The finished rows of these jobs, in order."""
        deadline = monotonic() + seconds
        while True:
            rows = await client.get_job_results(list(ids))
            self.assertEqual(len(rows), len(ids), "an accepted job is unknown")
            if all(row["status"] != "running" for row in rows):
                return rows
            self.assertLess(monotonic(), deadline, "a job does not end")
            await sleep(0.05)

    async def refusal(self, call):
        """Status, text and params of the APIError that `call` raises."""
        with self.assertRaises(APIError) as caught:
            await call
        error = caught.exception
        return error.status_code, error.message, error.params


def without_id(row):
    return {key: value for key, value in row.items() if key != "id"}


def shape(value):
    """The value with every text, number and truth replaced by its type; of lists the set of shapes."""
    if isinstance(value, dict):
        return {key: shape(member) for key, member in sorted(value.items())}
    if isinstance(value, list):
        return sorted({repr(shape(element)) for element in value})
    return type(value).__name__


async def raw(base_url, method, path, body=None, content_type="application/json", seconds=60):
    """Status, content type and exact bytes of a reply."""
    headers = {} if body is None or content_type is None else {"content-type": content_type}
    skip = ["content-type"] if content_type is None else []
    async with ClientSession(skip_auto_headers=skip) as session:
        async with session.request(
            method, base_url + path, data=body, headers=headers, timeout=ClientTimeout(total=seconds)
        ) as response:
            return response.status, response.content_type, await response.read()


def results_path(*ids):
    return "/api/jobs?" + "&".join(f"id={quote(job_id)}" for job_id in ids)
