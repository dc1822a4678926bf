import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

from support import GATEWAY_URL, UNKNOWN_ID, UUID, Check, delay, echo, shape

COMMAND = Path(sys.executable).with_name("infernet-client")


class CommandLine(Check):
    """The `infernet-client` command at the gateway. What a node would answer, the library asks a node for."""

    async def run_command(self, *arguments, stdin=None):
        """Exit code, output and errors."""
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "SERVER_URL": GATEWAY_URL, "PYTHONWARNINGS": "ignore"},
        )
        text = "" if stdin is None else json.dumps(stdin)
        output, errors = await asyncio.wait_for(process.communicate(text.encode()), 60)
        return process.returncode, output.decode(), errors.decode()

    async def command(self, *arguments, stdin=None):
        """The output of a command that must succeed."""
        code, output, errors = await self.run_command(*arguments, stdin=stdin)
        self.assertEqual(code, 0, errors)
        return output

    async def node_result(self, job):
        [row] = await self.finished(self.node, await self.node.request_job(job))
        return row["result"]

    async def test_health(self):
        """health"""
        self.assertEqual(await self.command("health"), "healthy\n")

    async def test_info(self):
        """info"""
        info = json.loads(await self.command("info"))
        self.assertEqual(shape(info), shape(await self.node.get_info()))

    async def test_job(self):
        """job prints the id"""
        self.assertRegex(await self.command("job", "-c", "echo", stdin={"n": 1}), f"^{UUID}\n$")

    async def test_job_sync(self):
        """job --sync with several containers and a proof prints the output"""
        data = {"n": 2**256 - 1}
        arguments = ("job", "-c", "step-one,prover", "--requires-proof", "true", "--sync")
        output = json.loads(await self.command(*arguments, stdin=data))
        job = {"containers": ["step-one", "prover"], "data": data, "requires_proof": True}
        self.assertEqual(output, (await self.node_result(job))["output"])

    async def test_job_sync_failure(self):
        """job --sync prints a failed job's error"""
        output = await self.command("job", "-c", "always-fails", "--sync", stdin={})
        error = (await self.node_result({"containers": ["always-fails"], "data": {}}))["error"]
        self.assertEqual(output, f"{error}\n")

    async def test_job_files(self):
        """job reads --input and writes --output"""
        with tempfile.TemporaryDirectory() as folder:
            given, made = Path(folder, "in.json"), Path(folder, "out.json")
            given.write_text('{"from": "a file"}')
            await self.command("job", "-c", "echo", "--sync", "-i", str(given), "-o", str(made))
            self.assertEqual(json.loads(made.read_text()), {"from": "a file"})

    async def test_job_refused(self):
        """job shows why it is refused"""
        code, _, errors = await self.run_command("job", "-c", "nope", stdin={})
        self.assertEqual(code, 1)
        self.assertIn("[405] Container not supported - [container=nope]", errors.splitlines()[-1])

    async def test_results(self):
        """results of several ids, with and without --intermediate"""
        chain = await self.gateway.request_job({"containers": ["step-one", "internal"], "data": {}})
        single = await self.gateway.request_job(echo(n=1))
        await self.finished(self.gateway, chain, single)
        ids = [chain, UNKNOWN_ID, single]
        arguments = ["results"] + [word for job_id in ids for word in ("--id", job_id)]
        plain, full = await asyncio.gather(
            self.command(*arguments), self.command(*arguments, "--intermediate")
        )
        self.assertEqual(json.loads(plain), await self.gateway.get_job_results(ids))
        self.assertEqual(json.loads(full), await self.gateway.get_job_results(ids, intermediate=True))
        self.assertEqual([row["id"] for row in json.loads(plain)], [chain, single])

    async def test_ids(self):
        """ids --status all, pending, completed"""
        done, running = [await self.gateway.request_job(job) for job in (echo(n=1), delay(30_000))]
        await self.finished(self.gateway, done)
        outputs = await asyncio.gather(
            *(self.command("ids", "--status", status) for status in ("all", "pending", "completed"))
        )
        lists = [json.loads(output) for output in outputs]
        listed = [(done in ids, running in ids) for ids in lists]
        self.assertEqual(listed, [(True, True), (False, True), (True, False)])
