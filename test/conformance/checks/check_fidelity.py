import asyncio
import base64
import json
import random
from urllib.request import urlopen

from infernet_client.error import APIError
from support import FLEET_URLS, GATEWAY_URL, Check, echo, raw, results_path

MAX_UINT256 = 2**256 - 1

# Each is one `data` object that a parser with doubles, or one that writes anew, would change.
EXACT = {
    "numbers": b'{"a":1.0,"b":1e3,"c":-0.0,"d":1E400,"e":0.1000,"f":12345678901234567890.123}',
    "duplicate keys": b'{"k":1,"k":2}',
    "order and spaces": b'{ "z" : 1,\n "a":\t[ ] }',
    "escapes": b'{"\\u0041":"\\/\\ud83c\\udf55","lone":"\\ud800"}',
    "raw characters": '{"é":"🍕\u2028"}'.encode(),
    "nesting": b'{"d":' + b"[" * 900 + b"]" * 900 + b"}",
    "a prototype": b'{"__proto__":{"x":1},"constructor":null}',
}


class Fidelity(Check):
    async def exact_output(self, data):
        """The reply's bytes for an echo of these bytes."""
        body = b'{"containers":["echo"],"data":' + data + b"}"
        status, _, answer = await raw(GATEWAY_URL, "POST", "/api/jobs", body)
        self.assertEqual(status, 200, answer)
        job_id = json.loads(answer)["id"]
        await self.finished(self.gateway, job_id)
        _, _, reply = await raw(GATEWAY_URL, "GET", results_path(job_id))
        return job_id, reply

    async def request_patiently(self, job, tries=5):
        """A 503 asks to come again: a busy machine may not store a large job within the time for an answer."""
        for left in range(tries - 1, -1, -1):
            try:
                return await self.gateway.request_job(job, timeout=60)
            except APIError as error:
                if error.status_code != 503 or left == 0:
                    raise
                await asyncio.sleep(1)

    def received_body(self, marker):
        """The bytes of the job with this marker, as they came to a node's socket."""
        for url in FLEET_URLS:
            with urlopen(f"{url}/__emulator/received?last=1000") as response:
                for request in json.load(response):
                    body = base64.b64decode(request["bodyBase64"])
                    if request["method"] == "POST" and marker in body:
                        return body
        self.fail(f"no node received {marker!r}")

    async def test_exact_bytes(self):
        """outputs are the node's bytes"""
        for name, data in EXACT.items():
            with self.subTest(name):
                _, reply = await self.exact_output(data)
                self.assertIn(b'"output":' + data + b"}", reply)

    async def test_large_integers_arrive(self):
        """2**256-1 arrives at the node's socket and comes back to the client"""
        marker = f"marker-{random.getrandbits(64):x}"
        data = {"marker": marker, "r": MAX_UINT256, "s": -MAX_UINT256, "amount": 2**53 + 1}
        [row] = await self.finished(self.gateway, await self.gateway.request_job(echo(**data)))
        self.assertEqual(row["result"]["output"], data)
        self.assertIn(f'"r": {MAX_UINT256}, "s": {-MAX_UINT256}'.encode(), self.received_body(marker.encode()))

    async def test_nothing_planted(self):
        """what callers may not decide does not reach a node"""
        marker = f"marker-{random.getrandbits(64):x}"
        job = {**echo(marker=marker), "id": "planted-id", "ip": "10.9.8.7", "type": "planted-type"}
        await self.finished(self.gateway, await self.gateway.request_job(job))
        body = self.received_body(marker.encode())
        for planted in (b"planted-id", b"10.9.8.7", b"planted-type"):
            self.assertNotIn(planted, body)

    async def test_ten_megabytes(self):
        """an output of 10 MB, byte for byte"""
        floats = [random.uniform(-1, 1) for _ in range(450_000)]
        job = echo(embedding=floats, padding="")
        job["data"]["padding"] = "x" * (10_000_000 - len(json.dumps(job["data"])))
        # As aiohttp writes it.
        data = json.dumps(job["data"]).encode()
        self.assertEqual(len(data), 10_000_000)
        job_id = await self.request_patiently(job)
        await self.finished(self.gateway, job_id)
        [row] = await self.gateway.get_job_results([job_id], timeout=60)
        self.assertEqual(row["result"]["output"]["embedding"], floats)
        _, _, reply = await raw(GATEWAY_URL, "GET", results_path(job_id))
        start = reply.index(b'"output":') + len(b'"output":')
        # assertEqual would try to show the difference of ten million bytes.
        self.assertTrue(reply[start : start + len(data)] == data, "the bytes differ")

    async def test_not_a_number(self):
        """NaN and Infinity, as Python writes them, pass as at a node"""

        async def output(client):
            [row] = await self.finished(client, await client.request_job(echo(x=[float("nan"), float("-inf")])))
            return repr(row["result"]["output"])

        self.assertEqual(await self.same(output), "{'x': [nan, -inf]}")
