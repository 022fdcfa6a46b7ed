"""Learning a softness over inverse-rendering problems."""

from meta.runs.learn import LearnedRenderer as LearnedRenderer
from meta.runs.learn import learn as learn
from meta.runs.learn import load as load
