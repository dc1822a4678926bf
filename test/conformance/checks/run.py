"""Runs every check_*.py of this folder with the installed client and prints a line for each check.

Lines start with `ok`, `FAIL` or `skip`; a failure is followed by its indented traceback.
GATEWAY_URL   the gateway
NODE_URL      an emulated node that is not behind the gateway: how a node answers
FLEET_URLS    the nodes behind the gateway, separated by commas
CHAIN_URL     the one of them that has a chain
COORDINATOR   address of the contract that subscriptions to it are signed for
"""

import sys
import unittest
import warnings
from pathlib import Path


class LineResult(unittest.TestResult):
    """One line for each check, as soon as it is over."""

    def addSuccess(self, test):
        super().addSuccess(test)
        self._say("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._say("skip", test, f" ({reason})")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._fail(test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self._fail(test, self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            failed = self.failures if issubclass(err[0], test.failureException) else self.errors
            self._fail(subtest, failed[-1][1])

    def _fail(self, test, traceback):
        self._say("FAIL", test)
        print("".join(f"      {line}\n" for line in traceback.splitlines()), end="", flush=True)

    def _say(self, verdict, test, more=""):
        # Of a failing module there is no test, hence no docstring.
        name = test.shortDescription() or str(test)
        topic = type(test).__module__.removeprefix("check_").replace("_", " ")
        print(f"{verdict:<5} {topic}: {name}{more}", flush=True)


def main():
    # The client of 1.0.0 gives aiohttp its timeouts in a form that is on its way out.
    warnings.simplefilter("ignore", DeprecationWarning)
    suite = unittest.defaultTestLoader.discover(str(Path(__file__).parent), pattern="check_*.py")
    result = LineResult()
    suite.run(result)
    return 0 if result.wasSuccessful() and result.testsRun > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
