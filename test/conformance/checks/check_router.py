import asyncio
import json
import os

from check_command_line import COMMAND
from infernet_client.router import RouterClient
from support import FLEET_URLS, GATEWAY_URL, Check

ADDRESSES = sorted(url.removeprefix("http://") for url in FLEET_URLS)


class Router(Check):
    """RouterClient and the commands that use it, at the gateway. Every node of the fleet runs every container."""

    router = RouterClient(GATEWAY_URL)

    async def command(self, *arguments):
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        output, errors = await asyncio.wait_for(process.communicate(), 60)
        self.assertEqual(process.returncode, 0, errors.decode())
        return json.loads(output)

    def need(self, name):
        if not hasattr(self.router, name):
            self.skipTest("this version of the client has no such call")

    async def test_nodes(self):
        """get_nodes_by_container_ids() finds the nodes"""
        self.assertEqual(sorted(await self.router.get_nodes_by_container_ids(["echo", "delay"])), ADDRESSES)
        self.assertEqual(await self.router.get_nodes_by_container_ids(["no-such-container"]), [])

    async def test_pages(self):
        """get_nodes_by_container_ids() with n and offset"""
        self.assertEqual(len(await self.router.get_nodes_by_container_ids(["echo"], n=2)), 2)
        self.assertEqual(len(await self.router.get_nodes_by_container_ids(["echo"], n=2, offset=2)), 1)

    async def test_containers(self):
        """get_containers() counts the nodes that run each"""
        containers = {container["id"]: container for container in await self.router.get_containers()}
        offered = {container["id"]: container for container in (await self.node.get_info())["containers"]}
        self.assertEqual(sorted(containers), sorted(offered))
        for id, container in containers.items():
            self.assertEqual(container["count"], len(FLEET_URLS))
            self.assertEqual(container["description"], offered[id]["description"])

    async def test_resources(self):
        """get_resources() tells those of each node"""
        self.need("get_resources")
        resources = await self.router.get_resources()
        self.assertEqual(sorted(resources), ADDRESSES)
        for of_node in resources.values():
            self.assertEqual(of_node, await self.node.get_resources())

    async def test_model_support(self):
        """check_model_support() tells it of each node"""
        self.need("check_model_support")
        support = await self.router.check_model_support("gpt-3.5-turbo-16k")
        self.assertEqual(sorted(support), ADDRESSES)
        for of_node in support.values():
            self.assertEqual(of_node, await self.node.check_model_support("gpt-3.5-turbo-16k"))

    async def test_command_containers(self):
        """the command containers"""
        self.assertEqual(await self.command("containers", "--url", GATEWAY_URL), await self.router.get_containers())

    async def test_command_find(self):
        """the command find"""
        found = await self.command("find", "-c", "echo", "-c", "delay", "-n", "5", "--url", GATEWAY_URL)
        self.assertEqual(sorted(found), ADDRESSES)
        skipped = await self.command("find", "-c", "echo", "--skip", "2", "--url", GATEWAY_URL)
        self.assertEqual(len(skipped), 1)
