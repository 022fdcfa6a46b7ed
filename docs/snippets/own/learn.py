import torch
from my_problems import RodFamily, start

import meta
import taichisoft as ts
from meta.learning.settings import InnerLoop, OuterLoop, ValidationSettings

learned = meta.learn(
    start(),
    [RodFamily()],
    problems=8,
    inner=InnerLoop(steps=15),
    outer=OuterLoop(steps=4),
    validation=ValidationSettings(problems=16, every=2),
)
print([f"{record.objective:.3f}" for record in learned.history])
print(learned.verdict.words())

# The numbers alone: a softness file holds no class of yours.
torch.save(learned.softness.state_dict(), "blend.pt")
softness = start().requires_grad_(False)
softness.load_state_dict(torch.load("blend.pt", weights_only=True))
again = ts.SoftRasterizer(softness=softness)
