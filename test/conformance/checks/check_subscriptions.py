import asyncio
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

from aiohttp import web
from eth_account import Account
from infernet_client.chain.rpc import RPC
from infernet_client.chain.subscription import Subscription
from support import CHAIN_URL, COORDINATOR, FLEET_URLS, GATEWAY_URL, Check

CHAIN_ID = 31337
PRIVATE_KEY = "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"
SIGNER = Account.from_key(PRIVATE_KEY).address.lower()
OWNER = "0x8D871Ef2826ac9001fB2e33fDD6379b6aaBF449c"
ZERO_ADDRESS = "0x" + "0" * 40
COMMAND = Path(sys.executable).with_name("infernet-client")


class ChainStandIn:
    """Answers the one question that the client asks of a chain: its id."""

    async def __aenter__(self):
        async def answer(request):
            question = await request.json()
            return web.json_response({"jsonrpc": "2.0", "id": question["id"], "result": hex(CHAIN_ID)})

        app = web.Application()
        app.router.add_post("/", answer)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def __aexit__(self, *_):
        await self.runner.cleanup()


def terms(**changes):
    return {
        "owner": OWNER,
        "active_at": 1700000000,
        "period": 0,
        "frequency": 1,
        "redundancy": 1,
        "containers": ["echo"],
        "lazy": False,
        "verifier": ZERO_ADDRESS,
        "payment_amount": 2**255 + 1,
        "payment_token": ZERO_ADDRESS,
        "wallet": OWNER,
        **changes,
    }


class DelegatedSubscriptions(Check):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.nonce = random.getrandbits(31)

    def taken(self):
        """What the node with a chain took under this nonce: it recovers the signer from the numbers it received."""
        with urlopen(f"{CHAIN_URL}/__emulator/subscriptions") as response:
            return [sub for sub in json.load(response) if sub["nonce"] == self.nonce]

    async def request(self, subscription, expiry=None):
        async with ChainStandIn() as rpc_url:
            await self.gateway.request_delegated_subscription(
                subscription,
                RPC(rpc_url),
                RPC(rpc_url).get_checksum_address(COORDINATOR),
                expiry or int(time.time()) + 600,
                self.nonce,
                PRIVATE_KEY,
                {"x": 1.0, "big": 2**256 - 1},
            )

    async def test_signature_is_valid_at_the_node(self):
        """a request signed by the client is valid at the node that has the chain"""
        await self.request(Subscription(**terms()))
        [sub] = self.taken()
        self.assertEqual(sub["signer"], SIGNER)
        self.assertEqual((sub["owner"], sub["containers"], sub["tracked"]), (OWNER.lower(), ["echo"], True))

    async def test_chain_of_containers(self):
        """the client's hash of two containers leads to the node that runs them"""
        await self.request(Subscription(**terms(containers=["step-one", "step-two"])))
        [sub] = self.taken()
        self.assertEqual((sub["containers"], sub["signer"]), (["step-one", "step-two"], SIGNER))

    async def test_refusals(self):
        """what a node would refuse is refused in its words"""
        expired = await self.refusal(self.request(Subscription(**terms()), int(time.time()) - 10))
        self.assertEqual(expired[:2], (405, "Signature expired"))
        inner = await self.refusal(self.request(Subscription(**terms(containers=["internal"]))))
        self.assertEqual(inner, (405, "First container must be external", {"first_container": "internal"}))
        self.assertEqual(self.taken(), [])

    async def test_never_to_a_node_without_a_chain(self):
        """nodes without a chain receive none"""
        await self.request(Subscription(**terms()))
        for url in FLEET_URLS:
            if url == CHAIN_URL:
                continue
            with urlopen(f"{url}/__emulator/subscriptions") as response:
                self.assertEqual(json.load(response), [])

    async def test_command_line(self):
        """sub"""
        with tempfile.TemporaryDirectory() as folder:
            params, key = Path(folder, "params.json"), Path(folder, "key")
            params.write_text(json.dumps(terms()))
            key.write_text(PRIVATE_KEY)
            async with ChainStandIn() as rpc_url:
                process = await asyncio.create_subprocess_exec(
                    COMMAND, "sub",
                    "--rpc-url", rpc_url,
                    "--address", COORDINATOR,
                    "--expiry", str(int(time.time()) + 600),
                    "--nonce", str(self.nonce),
                    "--key", str(key),
                    "--params", str(params),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    env={**os.environ, "SERVER_URL": GATEWAY_URL, "PYTHONWARNINGS": "ignore"},
                )
                output, errors = await asyncio.wait_for(process.communicate(b'{"n":1}'), 60)
        self.assertEqual((process.returncode, output.decode()), (0, "Success: Subscription created.\n"), errors.decode())
        [sub] = self.taken()
        self.assertEqual(sub["signer"], SIGNER)
