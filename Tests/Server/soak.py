#!/usr/bin/env python3
"""Many clients at once for a minute, a third of which vanish; then the server must be as it was.

    python Tests/Server/soak.py --clients 200 --seconds 60

Every stream that is read to its end must say what the same request says alone. At the end no page may be in use, nothing may run
or wait, and memory must be near what it was. While it runs the queue must keep within its bound. Prints one JSON line of what was
counted; the exit status is 1 where a promise is broken.
"""

import argparse
import asyncio
import collections
import json
import random
import time

import httpx

from conftest import Server

WORDS = ["Once upon a time", "The fox", "A small bird", "In the morning", "Why did the hen", "Omar took wood and", "The rain fell"]


def kinds(random_):
    """Different requests; each says the same whenever it is asked."""
    result = []
    for number in range(48):
        text = " ".join(random_.choices(WORDS, k=random_.randint(1, 12)))
        body = {"max_tokens": random_.choice([8, 24, 60, 120]), "seed": number, "temperature": random_.choice([0, 0.7, 1.3]),
                "stream": True, "stream_options": {"include_usage": True}}
        if body["temperature"] and number % 6 == 0:
            body["n"] = 3
        if number % 5 == 0:
            body["stop"] = [".", "\n"]
        if number % 2:
            result.append(("/v1/chat/completions", {**body, "messages": [{"role": "user", "content": text}]}))
        else:
            result.append(("/v1/completions", {**body, "prompt": text}))
    return result


async def read(client, path, body, drop=None):
    """A stream's texts by choice and its usage; None where it was dropped after so many events."""
    texts, usage, done, events = collections.defaultdict(str), None, False, 0
    async with client.stream("POST", path, json=body) as response:
        if response.status_code != 200:
            await response.aread()
            return response
        if drop == 0:
            return None
        async for line in response.aiter_lines():
            if not line.startswith("data: "):
                continue
            events += 1
            if drop is not None and events >= drop:
                return None
            if line == "data: [DONE]":
                done = True
                continue
            event = json.loads(line[6:])
            if "error" in event:
                raise AssertionError(f"an error within a stream: {event}")
            for choice in event["choices"]:
                texts[choice["index"]] += choice["delta"].get("content", "") if "delta" in choice else choice["text"]
            usage = event.get("usage") or usage
    assert done, "a stream ended without [DONE]"
    return dict(texts), usage["completion_tokens"]


async def soak(server, options):
    random_ = random.Random(options.seed)
    requests = kinds(random_)
    counts = collections.Counter()
    broken = []
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=server.url, timeout=120, limits=limits) as client:
        alone = [await read(client, *request) for request in requests]
        # Twice, so that memory that is kept for good is there before it is measured.
        again = [await read(client, *request) for request in requests]
        if alone != again:
            broken.append("a request alone does not repeat itself")
        await asyncio.gather(*(read(client, *random_.choice(requests)) for _ in range(min(options.clients, options.max_queue))))
        server.settle()
        resident = server.resident()
        end = time.monotonic() + options.seconds
        most_waiting = 0

        async def one(number):
            mine = random.Random(options.seed * 100_003 + number)
            while time.monotonic() < end:
                kind = mine.randrange(len(requests))
                path, body = requests[kind]
                drop = mine.choice([0, 1, 2, 3, 8, 20]) if mine.random() < options.drop else None
                try:
                    result = await read(client, path, body, drop)
                except (AssertionError, httpx.TransportError) as error:
                    broken.append(f"{type(error).__name__}: {error}"[:300])
                    counts["broken"] += 1
                    continue
                if isinstance(result, httpx.Response):
                    counts[f"status {result.status_code}"] += 1
                    if result.status_code != 429:
                        broken.append(f"status {result.status_code}: {result.text[:200]}")
                    # A second in full would leave the server idle.
                    await asyncio.sleep(mine.random() * 0.5)
                elif result is None:
                    counts["dropped"] += 1
                else:
                    counts["finished"] += 1
                    counts["tokens"] += result[1]
                    if result != alone[kind]:
                        counts["different"] += 1
                        broken.append(f"request {kind} differs from itself alone: {result} {alone[kind]}"[:600])

        async def watch():
            nonlocal most_waiting
            while time.monotonic() < end:
                text = (await client.get("/metrics")).text
                values = {line.split("{")[0].split(" ")[0]: float(line.rsplit(" ", 1)[1])
                          for line in text.splitlines() if line and line[0] != "#"}
                most_waiting = max(most_waiting, values["zoo:num_requests_queued"])
                await asyncio.sleep(0.2)

        await asyncio.gather(watch(), *(one(number) for number in range(options.clients)))
    try:
        server.settle(30)
    except AssertionError as error:
        broken.append(str(error))
    if most_waiting > options.max_queue:
        broken.append(f"{most_waiting:.0f} requests waited; the bound is {options.max_queue}")
    # What the allocator keeps for later is given back slowly.
    time.sleep(1)
    grown = server.resident() - resident
    if grown > options.memory << 20:
        broken.append(f"the process holds {grown >> 20} MiB more than before")
    if server.metric("vllm:num_preemptions_total") == 0 or counts["status 429"] == 0:
        broken.append("no request was preempted, or none was refused: the run says little")
    if counts["finished"] < options.clients:
        broken.append("fewer streams were finished than there are clients: the run says little")
    return {
        "clients": options.clients, "seconds": options.seconds, **counts, "most_waiting": most_waiting,
        "resident_before_mib": resident >> 20, "resident_grown_mib": grown >> 20, **server.busy(),
        "preemptions": server.metric("vllm:num_preemptions_total"), "broken_promises": broken[:10]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--drop", type=float, default=0.3, help="the part of the streams that is dropped")
    parser.add_argument("--max-queue", type=int, default=24)
    # Small enough that requests are preempted.
    parser.add_argument("--page-count", type=int, default=48)
    parser.add_argument("--max-num-seqs", type=int, default=16)
    parser.add_argument("--memory", type=int, default=64, help="MiB that the process may hold more at the end")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    server = Server(
        "--max-queue", options.max_queue, "--page-count", options.page_count, "--max-num-seqs", options.max_num_seqs)
    try:
        counted = asyncio.run(soak(server, options))
    finally:
        status = server.stop()
    counted["exit_status"] = status
    if status != 0:
        counted["broken_promises"].append(f"the server ended with {status}")
    print(json.dumps(counted))
    raise SystemExit(1 if counted["broken_promises"] else 0)


if __name__ == "__main__":
    main()
