from uuid import uuid4

from infernet_client.error import APIError
from support import GATEWAY_URL, Check, echo, raw


class Statuses(Check):
    async def test_record(self):
        """record_status() shows in results and ids"""

        async def story(client):
            job_id = f"recorded-{uuid4()}"
            seen = []
            for status in ("running", "success", "failed"):
                self.assertIsNone(await client.record_status(job_id, status, echo(n=1)))
                [row] = await client.get_job_results([job_id])
                self.assertEqual(row.pop("id"), job_id)
                lists = [job_id in await client.get_jobs(pending) for pending in (None, True, False)]
                seen.append((row, lists))
            return seen

        await self.same(story)

    async def test_invalid(self):
        """record_status() refuses a status that is none in the words of a node"""

        async def refusal(client):
            status, text, _ = await self.refusal(client.record_status("x", "done", echo()))
            return status, text

        self.assertEqual(await self.same(refusal), (400, "Status is invalid"))

    async def test_job_of_gateway(self):
        """record_status() leaves a job of the gateway alone"""
        job_id = await self.gateway.request_job(echo(n=1))
        before = await self.finished(self.gateway, job_id)
        with self.assertRaises(APIError) as caught:
            await self.gateway.record_status(job_id, "running", echo())
        self.assertEqual(caught.exception.status_code, 409)
        self.assertEqual(await self.gateway.get_job_results([job_id]), before)

    async def test_malformed(self):
        """a malformed body is answered in JSON"""
        status, content_type, _ = await raw(GATEWAY_URL, "PUT", "/api/status", b"{")
        self.assertEqual((status, content_type), (400, "application/json"))
