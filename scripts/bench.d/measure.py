"""What every benchmark needs: timing commands, and a table of medians with ratios."""

import os
import pathlib
import statistics
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
MINIPOD = pathlib.Path(os.environ.get("MINIPOD_BIN", TOP / "target/release/minipod"))


def timed(*command, streams=subprocess.PIPE, **options):
    """Milliseconds that the command takes; it must succeed."""
    began = time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=streams, stderr=streams,
                          text=True, **options)
    took = (time.perf_counter() - began) * 1000
    if done.returncode:
        words = " ".join(str(word) for word in command)
        raise RuntimeError(f"{words} failed: {(done.stderr or done.stdout or '').strip()}")
    return took


def table(results, units):
    """Prints a row per thing measured: each competitor's median, and how many times the first's.

    results: {competitor: [{thing: number}, ...]}, units: {thing: unit}."""
    first = next(iter(results))
    print(f"{'':14}" + "".join(f"{name:>22}" for name in results))
    for thing, unit in units.items():
        medians = {}
        for name, rows in results.items():
            numbers = [row[thing] for row in rows if thing in row]
            if numbers:
                medians[name] = statistics.median(numbers)
        cells = []
        for name in results:
            if name not in medians:
                cells.append("-")
                continue
            ratio = ""
            if name != first and medians.get(first):
                ratio = f" ({medians[name] / medians[first]:.2f}×)"
            cells.append(f"{medians[name]:.1f} {unit}{ratio}")
        print(f"{thing:14}" + "".join(f"{cell:>22}" for cell in cells))
