from support import UUID, Check

FAST = {"containers": ["pieces"], "data": {"count": 1, "size": 8}}
COMPLETION = {
    "containers": ["openai-inference-streaming-0.0.1"],
    "data": {"model": "gpt-3.5-turbo-16k", "params": {"endpoint": "completion"}},
}
BREAKS = {"containers": ["pieces"], "data": {"count": 4, "size": 4, "fail_after": 2}}
TIMES = 200


async def streamed(client, job):
    """What the client takes for the id, and what it takes for output."""
    chunks = [chunk async for chunk in client.request_stream(job)]
    return chunks[0], b"".join(chunks[1:])


class Streams(Check):
    async def test_completion(self):
        """request_stream() yields a UUID, then the same text as directly, and the result is kept"""
        (job_id, output), (_, direct) = await self.both(lambda client: streamed(client, COMPLETION))
        self.assertRegex(job_id, f"^{UUID}$")
        self.assertEqual(output, direct)
        [row] = await self.gateway.get_job_results([job_id])
        self.assertEqual(row["status"], "success")
        self.assertEqual(row["result"]["output"], {"output": output.decode()})

    async def test_fast_streams(self):
        """of 200 fast streams the client merges id and output at most once"""
        # A client that is kept from running for 5 ms reads late, and then finds both: that says nothing of who sent
        # them. Sent together they merge about every second time, in every run.
        for runs_left in reversed(range(3)):
            merged = await self.merged()
            if merged["gateway"] <= 1 or runs_left == 0:
                break
            print("     all is measured once more")
        self.assertLessEqual(merged["gateway"], 1)

    async def merged(self):
        """How many fast streams came in one read with their id, each way."""
        merged = {"gateway": 0, "direct": 0}
        for _ in range(TIMES):
            for name, client in [("gateway", self.gateway), ("direct", self.node)]:
                first, output = await streamed(client, FAST)
                if output == b"":
                    merged[name] += 1
                    self.assertRegex(first, f"^{UUID}\\nstream\\.")
        print(f"     merged of {TIMES}: {merged['gateway']} through the gateway, {merged['direct']} directly")
        return merged

    async def test_refusal(self):
        """a refused stream raises the node's error"""
        job = {"containers": ["non-existent-container"], "data": {}}

        async def refused(client):
            return await self.refusal(streamed(client, job))

        status, message, params = await self.same(refused)
        self.assertEqual((status, message), (405, "Container not supported"))
        self.assertEqual(params, {"container": "non-existent-container"})

    async def test_failure(self):
        """a stream whose container breaks does not end as if it were whole"""
        with self.assertRaises(Exception) as caught:
            await streamed(self.gateway, BREAKS)
        self.assertIn("Payload", type(caught.exception).__name__)
