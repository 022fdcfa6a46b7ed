"""T-conorms: all that the library exports, one line each."""

from taichisoft.softness.aggregation.base import Aggregation as Aggregation
from taichisoft.softness.aggregation.families import Frank as Frank
from taichisoft.softness.aggregation.families import Hamacher as Hamacher
from taichisoft.softness.aggregation.families import SchweizerSklar as SchweizerSklar
from taichisoft.softness.aggregation.learned import MonotoneGenerator as MonotoneGenerator
from taichisoft.softness.aggregation.plain import BoundedSum as BoundedSum
from taichisoft.softness.aggregation.plain import Einstein as Einstein
from taichisoft.softness.aggregation.plain import Max as Max
from taichisoft.softness.aggregation.plain import Probabilistic as Probabilistic
from taichisoft.softness.aggregation.powers import AczelAlsina as AczelAlsina
from taichisoft.softness.aggregation.powers import Dombi as Dombi
from taichisoft.softness.aggregation.powers import Yager as Yager
