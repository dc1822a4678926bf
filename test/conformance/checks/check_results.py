import json
from asyncio import gather

from support import GATEWAY_URL, NODE_URL, UNKNOWN_ID, Check, delay, echo, raw


class Results(Check):
    async def test_order(self):
        """get_job_results(): finished in the order asked, then running ones; unknown left out, duplicates repeated"""

        async def rows(client):
            slow, first, second = [await client.request_job(job) for job in (delay(4000), echo(n=1), echo(n=2))]
            await self.finished(client, first, second)
            names = {slow: "slow", first: "first", second: "second"}
            asked = [slow, UNKNOWN_ID, second, first, second]
            return [{**row, "id": names[row["id"]]} for row in await client.get_job_results(asked)]

        listed = await self.same(rows)
        self.assertEqual([row["id"] for row in listed], ["second", "first", "second", "slow"])

    async def test_running(self):
        """a running job has status running and result null"""

        async def row(client):
            job_id = await client.request_job(delay(1500))
            [row] = await client.get_job_results([job_id])
            self.assertEqual(row.pop("id"), job_id)
            return row

        self.assertEqual(await self.same(row), {"result": None, "status": "running"})

    async def test_visible_at_once(self):
        """a job is visible from the moment that its id is known"""

        async def look():
            job_id = await self.gateway.request_job(echo(n=1))
            return await self.gateway.get_job_results([job_id])

        for rows in await gather(*(look() for _ in range(40))):
            self.assertEqual(len(rows), 1)

    async def test_odd_ids(self):
        """ids that no job has, however they look, are left out"""
        for odd in ("x", "planted", "%00", "%F0%9F%8D%95", UNKNOWN_ID.upper(), "1" * 500, "'; --"):
            with self.subTest(odd=odd):
                self.assertEqual(await self.same(lambda client: client.get_job_results([odd])), [])

    async def test_many_ids(self):
        """300 ids in one request"""
        job_id = await self.gateway.request_job(echo(n=1))
        rows = await self.gateway.get_job_results([UNKNOWN_ID] * 299 + [job_id])
        self.assertEqual([row["id"] for row in rows], [job_id])

    async def test_intermediate_word(self):
        """intermediate other than true adds nothing"""
        for base_url, client in ((GATEWAY_URL, self.gateway), (NODE_URL, self.node)):
            job_id = await client.request_job({"containers": ["step-one", "internal"], "data": {}})
            await self.finished(client, job_id)
            for word in ("True", "1", ""):
                _, _, body = await raw(base_url, "GET", f"/api/jobs?id={job_id}&intermediate={word}")
                self.assertEqual(sorted(json.loads(body)[0]), ["id", "result", "status"])


class ResultSync(Check):
    async def test_success(self):
        """get_job_result_sync() waits for the result"""

        async def output(client):
            row = await client.get_job_result_sync(await client.request_job(delay(1200)))
            return row["status"], row["result"]["output"]["slept_ms"]

        self.assertEqual(await self.same(output), ("success", 1200))

    async def test_failure(self):
        """get_job_result_sync() returns a failed job"""

        async def status(client):
            job_id = await client.request_job({"containers": ["always-fails"], "data": {}})
            return (await client.get_job_result_sync(job_id))["status"]

        self.assertEqual(await self.same(status), "failed")

    async def test_unknown(self):
        """get_job_result_sync() of an unknown id is None"""
        self.assertIsNone(await self.same(lambda client: client.get_job_result_sync(UNKNOWN_ID)))

    async def test_retries(self):
        """get_job_result_sync() gives up after its tries"""

        async def give_up(client):
            with self.assertRaises(TimeoutError):
                await client.get_job_result_sync(await client.request_job(delay(3000)), retries=1)

        await self.both(give_up)


class Ids(Check):
    async def test_pending_and_completed(self):
        """get_jobs(): all, pending=True and pending=False; a job moves over when it ends"""

        async def lists(client):
            slow, fast, failing = [
                await client.request_job(job)
                for job in (delay(2500), echo(n=1), {"containers": ["always-fails"], "data": {}})
            ]
            await self.finished(client, fast, failing)
            names = {slow: "slow", fast: "fast", failing: "failing"}

            async def listed(pending):
                ids = await client.get_jobs(pending)
                self.assertEqual(len(set(ids)), len(ids))
                return sorted(names[job_id] for job_id in ids if job_id in names)

            before = [await listed(pending) for pending in (None, True, False)]
            await self.finished(client, slow)
            return before + [await listed(pending) for pending in (None, True, False)]

        every = ["failing", "fast", "slow"]
        expected = [every, ["slow"], ["failing", "fast"], every, [], every]
        self.assertEqual(await self.same(lists), expected)

    async def test_word(self):
        """a pending that is neither true nor false lists all"""
        for base_url, client in ((GATEWAY_URL, self.gateway), (NODE_URL, self.node)):
            job_id = await client.request_job(echo(n=1))
            for word in ("maybe", "TRUE", ""):
                _, _, body = await raw(base_url, "GET", f"/api/jobs?pending={word}")
                self.assertIn(job_id, json.loads(body))
