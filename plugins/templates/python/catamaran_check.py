"""What every check in Python needs: verdicts, settings, words for errors."""

import json
import traceback

from componentize_py_types import Err
from wit_world.imports import types

REASONS = {
    types.Error_Denied: "denied",
    types.Error_Refused: "connection refused",
    types.Error_Unreachable: "unreachable",
    types.Error_TimedOut: "timed out",
    types.Error_Closed: "the endpoint closed the connection",
    types.Error_Tls: "TLS",
    types.Error_Protocol: "protocol error",
    types.Error_TooLarge: "too large",
}


def healthy(detail=""):
    """Fit for connections; with a detail worth showing."""
    return types.Verdict_Healthy(str(detail))


def degraded(detail):
    """Fit for connections, but someone should look; at what, the text says."""
    return types.Verdict_Degraded(str(detail))


def unhealthy(reason):
    """Not fit; the text is the reason."""
    return types.Verdict_Unhealthy(str(reason))


def reason(error):
    """One line for the operator about an error of the network."""
    words = REASONS[type(error)]
    text = getattr(error, "value", None)
    return f"{words}: {text}" if text else words


def plugin(probe):
    """Make a function of request and settings the plugin.

    What it raises ends the probe: a failure of the network as the endpoint's
    fault, anything else as the plugin's own.
    """

    class WitWorld:
        def check(self, request):
            try:
                return probe(request, json.loads(request.config))
            except Err as failure:
                if type(failure.value) in REASONS:
                    return unhealthy(reason(failure.value))
                raise
            except Exception as fault:
                traceback.print_exc()
                raise Err(f"{type(fault).__name__}: {fault}") from fault

    return WitWorld
