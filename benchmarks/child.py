"""One measurement in a process of its own: a JSON order in, a JSON result out.

python -m benchmarks.child '{"adapter": "plain", "measure": "cpu_per_call", …}'
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from benchmarks import adapters, machine
from benchmarks.adapters import Adapter, Config, NotAvailable
from benchmarks.measure import MEASURES
from benchmarks.mock_server.control import Server


def carry_out(order: dict[str, Any]) -> dict[str, Any]:
    measure = MEASURES[order["measure"]]
    server = Server(order["config"]["base_url"])

    async def body(adapter: Adapter) -> dict[str, Any]:
        return await measure(adapter, server, **order.get("arguments", {}))

    start_s = time.process_time()
    try:
        result = adapters.run(order["adapter"], Config(**order["config"]), body)
    except NotAvailable as reason:
        return {"not_available": str(reason)}
    result["process_cpu_s"] = time.process_time() - start_s
    result["process_rss_mb"] = machine.rss_bytes() / 1e6
    return result


def main() -> None:
    order = json.loads(sys.argv[1])
    is_first = machine.claim(order.get("core"))
    print("\n" + json.dumps({**carry_out(order), "priority_raised": is_first}), flush=True)


if __name__ == "__main__":
    main()
