import json

from support import GATEWAY_URL, Check, echo, raw

REFUSED = {
    "no containers": ({"containers": [], "data": {}}, "No containers specified", {}),
    "an unknown container": (
        {"containers": ["nope"], "data": {}},
        "Container not supported",
        {"container": "nope"},
    ),
    "the first unknown one of a chain": (
        {"containers": ["internal", "nope", "neither"], "data": {}},
        "Container not supported",
        {"container": "nope"},
    ),
    "an internal container in front": (
        {"containers": ["internal", "echo"], "data": {}, "requires_proof": True},
        "First container must be external",
        {"first_container": "internal"},
    ),
    "a proof from a container without": (
        {"containers": ["prover", "echo"], "data": {}, "requires_proof": True},
        "Container does not generate proof",
        {"container": "echo"},
    ),
    "an address that is not allowed": (
        {"containers": ["step-two"], "data": {}},
        "Container not allowed for address",
        {"address": "127.0.0.1", "container": "step-two"},
    ),
}

# What is malformed, and the field that the gateway names.
MALFORMED = {
    "no data": ({"containers": ["echo"]}, "data"),
    "data that is a list": ({"containers": ["echo"], "data": []}, "data"),
    "data that is null": ({"containers": ["echo"], "data": None}, "data"),
    "no containers member": ({"data": {}}, "containers"),
    "containers that are a text": ({"containers": "echo", "data": {}}, "containers"),
    "a container that is a number": ({"containers": ["echo", 1], "data": {}}, "containers[1]"),
    "a requires_proof that is a text": ({**echo(n=1), "requires_proof": "yes"}, "requires_proof"),
    "a list instead of a job": ([1], "body"),
    "a text instead of a job": ("job", "body"),
}


class Refusals(Check):
    async def test_each(self):
        """each 405 is an APIError with a node's text and params"""
        for name, (job, message, params) in REFUSED.items():
            with self.subTest(name):
                refused = await self.same(lambda client: self.refusal(client.request_job(job)))
                self.assertEqual(refused, (405, message, params))

    async def test_batch(self):
        """the same refusals in a batch, each in its place"""
        jobs = [job for job, _, _ in REFUSED.values()]
        expected = [{"error": message, "params": params} for _, message, params in REFUSED.values()]
        self.assertEqual(await self.same(lambda client: client.request_jobs(jobs)), expected)


class Malformed(Check):
    async def test_each(self):
        """malformed jobs are an APIError 400 that names the field; 500 at a node"""
        for name, (job, field) in MALFORMED.items():
            with self.subTest(name):
                gateway, node = await self.both(lambda client: self.refusal(client.request_job(job)))
                self.assertEqual(gateway[0], 400)
                self.assertEqual(gateway[2]["field"], field)
                self.assertEqual(node[0], 500)

    async def test_batch_item(self):
        """a malformed item of a batch does not sink the others"""
        answers = await self.gateway.request_jobs([echo(n=1), {"containers": ["echo"]}, echo(n=2)])
        self.assertEqual([sorted(answer) for answer in answers], [["id"], ["error", "params"], ["id"]])
        self.assertEqual(answers[1]["params"], {"field": "data", "index": 1})
        await self.finished(self.gateway, answers[0]["id"], answers[2]["id"])

    async def test_batch_no_list(self):
        """a batch that is no list is refused as by a node"""
        for job in (echo(n=1), "jobs"):
            status, message, _ = await self.refusal(self.gateway.request_jobs(job))
            self.assertEqual((status, message), (400, "Expected a list"))
            self.assertEqual((await self.refusal(self.node.request_jobs(job)))[:2], (status, message))

    async def test_bytes(self):
        """bytes that are no JSON, no UTF-8 or nothing are answered in JSON"""
        for body in (b"{", b'{"containers":["echo"],"data":{}}x', b'{"data":"\xff"}', b""):
            for path in ("/api/jobs", "/api/jobs/batch"):
                with self.subTest(body=body, path=path):
                    await self.expect_error(400, "POST", path, body)

    async def test_content_type(self):
        """a job of another content type is 415"""
        for content_type in ("text/plain", "application/x-www-form-urlencoded", None):
            with self.subTest(content_type=content_type):
                await self.expect_error(415, "POST", "/api/jobs", b"{}", content_type)

    async def test_too_large(self):
        """a body of more than 16 MiB is 413, one of exactly 16 MiB is not"""
        head, tail = b'{"containers":["echo"],"data":{"s":"', b'"}}'
        full = head + b"x" * (16_777_216 - len(head) - len(tail)) + tail
        await self.expect_error(413, "POST", "/api/jobs", full + b" ")
        status, _, _ = await raw(GATEWAY_URL, "POST", "/api/jobs", full)
        self.assertEqual(status, 200)

    async def test_unknown_paths(self):
        """what is not there is answered in JSON, too"""
        calls = (("GET", "/nope", 404), ("PUT", "/api/jobs", 405), ("GET", "/api/jobs/", 404))
        for method, path, status in calls:
            with self.subTest(path=path):
                await self.expect_error(status, method, path)

    async def expect_error(self, expected, method, path, body=None, content_type="application/json"):
        """An error must be a JSON object with `error`, or the client breaks on it."""
        status, kind, answer = await raw(GATEWAY_URL, method, path, body, content_type)
        self.assertEqual((status, kind), (expected, "application/json"))
        self.assertIsInstance(json.loads(answer)["error"], str)
