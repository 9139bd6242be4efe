"""Plot bench.json as a PNG: python plot.py <bench.json >bench.png"""

import json
import sys

import matplotlib as mpl
from matplotlib import pyplot

mpl.use("Agg")
data = json.load(sys.stdin)
results, compared = data["results"], data["compared"]
names = list(reversed(results))

figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 0.5 * len(names) + 1.5), sharey=True)
cpu = [results[name]["cpu"] for name in names]
ratios = [results[name]["cpu"] / results[compared[name]]["cpu"] for name in names]
bars = left.barh(names, cpu, color=["#999999" if name.startswith("floor") else "#3366aa" for name in names])
left.bar_label(bars, [f" {each:.2f} ms, {ratio:.2f}x" for each, ratio in zip(cpu, ratios, strict=True)])
left.set(xlabel="CPU per request, ms, and ratio to the floor (log)", xscale="log", xlim=(None, 4 * max(cpu)))
for percentile, marker in (("p50", "o"), ("p99", "|")):
    right.plot(
        [results[name][percentile] for name in names], names, marker, label=percentile, color="#3366aa"
    )
right.set(xlabel="response time under load, ms (log)", xscale="log")
right.legend()
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
figure.tight_layout()
figure.savefig(sys.stdout.buffer, format="png", dpi=120)
