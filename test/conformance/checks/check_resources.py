from support import Check

MODEL = "gpt-3.5-turbo-16k"


class Resources(Check):
    """`gateway` stands in front of nodes like `node`, with the same containers."""

    def setUp(self):
        if not hasattr(self.gateway, "get_resources"):
            self.skipTest("this version of the client has no such call")

    async def test_resources(self):
        """get_resources() describes every container"""
        resources = await self.same(lambda client: client.get_resources())
        self.assertIn("echo", resources)

    async def test_model_support(self):
        """check_model_support() tells which containers support a model"""
        support = await self.same(lambda client: client.check_model_support(MODEL))
        self.assertTrue(support["openai-inference-0.0.1"]["supported"])
        self.assertFalse(support["echo"]["supported"])

    async def test_unknown_model(self):
        """a model that nobody has is supported by no container"""
        support = await self.same(lambda client: client.check_model_support("no/such-model"))
        self.assertTrue(all(not entry["supported"] for entry in support.values()))
