from asyncio import gather

from support import UUID, Check, echo, raw, GATEWAY_URL, without_id

COMPLETION = {
    "containers": ["openai-inference-0.0.1"],
    "data": {
        "model": "gpt-3.5-turbo-16k",
        "params": {
            "endpoint": "completion",
            "messages": [{"role": "user", "content": "how do I make pizza?"}],
        },
    },
}
EMBEDDING = {
    "containers": ["openai-inference-0.0.1"],
    "data": {
        "model": "text-embedding-3-small",
        "params": {"endpoint": "embeddings", "input": "This string is meant to be embedded."},
    },
}
UNSUPPORTED = {"containers": ["non-existent-container"], "data": {}}


class SingleJobs(Check):
    async def run_job(self, client, job):
        [row] = await self.finished(client, await client.request_job(job))
        return without_id(row)

    async def test_id(self):
        """request_job() returns a UUID"""
        for job_id in await self.both(lambda client: client.request_job(echo(n=1))):
            self.assertRegex(job_id, f"^{UUID}$")

    async def test_result(self):
        """a job's result is what a node gives"""
        row = await self.same(lambda client: self.run_job(client, echo(hello="world")))
        self.assertEqual(row["result"], {"container": "echo", "output": {"hello": "world"}})

    async def test_completion(self):
        """the documented completion job"""
        row = await self.same(lambda client: self.run_job(client, COMPLETION))
        self.assertEqual(row["status"], "success")

    async def test_failure(self):
        """a failing container's job has status failed and the container's error"""
        job = {"containers": ["always-fails"], "data": {}}
        row = await self.same(lambda client: self.run_job(client, job))
        self.assertEqual(row["status"], "failed")

    async def test_proof(self):
        """requires_proof with a container that proves"""
        job = {"containers": ["prover"], "data": {"n": 1}, "requires_proof": True}
        row = await self.same(lambda client: self.run_job(client, job))
        self.assertEqual(row["status"], "success")

    async def test_no_proof_wanted(self):
        """requires_proof may be false or null"""
        for wish in (False, None):
            row = await self.same(lambda client: self.run_job(client, {**echo(n=1), "requires_proof": wish}))
            self.assertEqual(row["status"], "success")

    async def test_chain(self):
        """a chain hands each output on to the next container, also to an internal one"""
        job = {"containers": ["step-one", "internal", "step-one"], "data": {"n": 1}}
        row = await self.same(lambda client: self.run_job(client, job))
        self.assertEqual(row["result"]["output"]["input"]["step"], "one")

    async def test_intermediate(self):
        """get_job_results(intermediate=True) adds the results inside a chain"""

        async def rows(client):
            job_id = await client.request_job({"containers": ["step-one", "internal"], "data": {"n": 1}})
            await self.finished(client, job_id)
            return [without_id(row) for row in await client.get_job_results([job_id], intermediate=True)]

        [row] = await self.same(rows)
        self.assertIn("intermediate_results", row)

    async def test_extra_fields(self):
        """members a node does not know are ignored"""
        row = await self.same(lambda client: self.run_job(client, {**echo(n=1), "note": "mine"}))
        self.assertEqual(row["result"]["output"], {"n": 1})

    async def test_planted_members(self):
        """id, ip and type in the body have no effect"""
        job_id = await self.gateway.request_job({**echo(n=1), "id": "planted", "ip": "10.9.8.7", "type": "x"})
        self.assertRegex(job_id, f"^{UUID}$")
        await self.finished(self.gateway, job_id)
        self.assertEqual(await self.gateway.get_job_results(["planted"]), [])

    async def test_json_suffix(self):
        """content types application/*+json are taken"""
        body = b'{"containers":["echo"],"data":{}}'
        status, content_type, _ = await raw(GATEWAY_URL, "POST", "/api/jobs", body, "application/vnd.x+json")
        self.assertEqual((status, content_type), (200, "application/json"))

    async def test_concurrent(self):
        """50 jobs at the same time all come back with their own output"""
        jobs = [echo(n=n) for n in range(50)]
        rows = await gather(*(self.run_job(self.gateway, job) for job in jobs))
        self.assertEqual([row["result"]["output"] for row in rows], [job["data"] for job in jobs])


class Batches(Check):
    async def test_documented(self):
        """request_jobs() answers each job in its place, an unsupported one with its error"""
        gateway, node = await self.both(lambda client: client.request_jobs([EMBEDDING, EMBEDDING, UNSUPPORTED]))
        self.assertEqual([sorted(item) for item in gateway], [sorted(item) for item in node])
        self.assertEqual(gateway[2], node[2])
        rows = await self.finished(self.gateway, gateway[0]["id"], gateway[1]["id"])
        for row in rows:
            self.assertEqual(len(row["result"]["output"]), 1536)

    async def test_empty(self):
        """an empty batch has an empty answer"""
        self.assertEqual(await self.same(lambda client: client.request_jobs([])), [])

    async def test_large(self):
        """100 jobs of one batch, in order"""
        answers = await self.gateway.request_jobs([echo(n=n) for n in range(100)])
        ids = [answer["id"] for answer in answers]
        self.assertEqual(len(set(ids)), 100)
        rows = await self.finished(self.gateway, *ids)
        self.assertEqual([row["result"]["output"]["n"] for row in rows], list(range(100)))

    async def test_content_type(self):
        """a batch may have any content type, as at a node"""
        body = b'[{"containers":["echo"],"data":{}}]'
        for content_type in ("text/plain", None):
            with self.subTest(content_type=content_type):
                status, kind, _ = await raw(GATEWAY_URL, "POST", "/api/jobs/batch", body, content_type)
                self.assertEqual((status, kind), (200, "application/json"))
