from infernet_client.node import NodeClient
from support import CHAIN_URL, Check, shape


class HealthAndInfo(Check):
    async def test_health(self):
        """health() is true"""
        self.assertTrue(await self.same(lambda client: client.health()))

    async def test_info_shape(self):
        """get_info() has a node's members and types"""
        gateway, node = await self.both(lambda client: client.get_info())
        self.assertEqual(shape(gateway), shape(node))

    async def test_info_containers(self):
        """get_info() lists every container of the fleet once, internal ones included"""

        async def containers(client):
            listed = (await client.get_info())["containers"]
            return sorted(listed, key=lambda container: container["id"])

        listed = await self.same(containers)
        self.assertIn(False, [container["external"] for container in listed])

    async def test_info_version_and_chain(self):
        """get_info() tells version and chain as the node with a chain does"""

        async def told(client):
            info = await client.get_info()
            return info["version"], info["chain"]

        through_gateway = await told(self.gateway)
        self.assertEqual(through_gateway, await told(NodeClient(CHAIN_URL)))
        self.assertTrue(through_gateway[1]["enabled"])
