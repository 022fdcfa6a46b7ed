import torch
from my_problems import RodFamily, start

import taichisoft as ts
from meta.evaluation.candidates import FIXED
from meta.evaluation.measurements import measure
from meta.evaluation.protocol import Protocol
from meta.evaluation.statistics import Bootstrap
from meta.evaluation.tuning import tune
from meta.learning.inner import InnerSettings
from tasks import Split

family = RodFamily()
protocol = Protocol(
    problems=16,  # of each seed; take more
    seeds=2,
    tuning_problems=4,
    steps=15,
    scales=(0.25, 1.0),
    gammas=(0.05,),  # without effect on silhouettes
    rates=(0.5, 1.0, 2.0),
    measure_every=5,
    seed=0,
)
softness = start().requires_grad_(False)
softness.load_state_dict(torch.load("blend.pt", weights_only=True))
# The learned one has its rate, the fixed one chooses scale and rate on training problems.
contestants = {"learned": (ts.SoftRasterizer(softness=softness), family.learning_rate)}
for key in ("gaussian", "gaussian-annealed"):
    choices, renderer = FIXED[key].choices(protocol.grid(family)), FIXED[key].renderer
    tasks = protocol.tuning_tasks(family)
    choice = tune(choices, renderer, tasks, protocol.steps, family.error_cap).choice
    contestants[key] = (renderer(choice), choice.learning_rate)

held_out = protocol.evaluation_tasks(family, Split.HELD_OUT)
solved = {}
for name, (renderer, rate) in contestants.items():
    inner = InnerSettings(protocol.steps, rate)
    solved[name] = measure(held_out, renderer, inner, every=protocol.measure_every).solved[-1]

bootstrap = Bootstrap.of(protocol.total, seed=0)
for name, found in solved.items():
    rate = bootstrap.rate(found)
    ahead = bootstrap.mean(solved["learned"].double() - found.double())
    print(f"{name:17} {rate.estimate:4.0%} solved [{rate.low:.0%}, {rate.high:.0%}]", end=", ")
    print(f"learned ahead by {ahead.estimate:+.2f} [{ahead.low:+.2f}, {ahead.high:+.2f}]")
