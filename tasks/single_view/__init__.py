"""Single-view reconstruction: a network that learns a shape and its colours from one image.

It is trained through a renderer, from images alone (Kato et al. 2018; Liu et al. 2019).
``python -m tasks.single_view`` trains and measures; `docs/single-view.md` tells how.
"""

from tasks.single_view.evaluation import evaluate as evaluate
from tasks.single_view.folders import load_folder as load_folder
from tasks.single_view.folders import load_picture as load_picture
from tasks.single_view.network import Reconstructor as Reconstructor
from tasks.single_view.photographs import Photographs as Photographs
from tasks.single_view.procedural import procedural as procedural
from tasks.single_view.renderers import RENDERERS as RENDERERS
from tasks.single_view.runs import Data as Data
from tasks.single_view.runs import load_model as load_model
from tasks.single_view.settings import DataSettings as DataSettings
from tasks.single_view.settings import Settings as Settings
from tasks.single_view.settings import quick as quick
from tasks.single_view.training import Training as Training
