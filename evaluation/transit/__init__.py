"""Transit times between the cameras of a district: how much likelier camera and time make one person than two."""

from evaluation.transit.checking import misleading_cameras as misleading_cameras
from evaluation.transit.checking import nearest_walks as nearest_walks
from evaluation.transit.fitting import fit_transits as fit_transits
from evaluation.transit.fusion import Fusion as Fusion
from evaluation.transit.fusion import fit_fusion as fit_fusion
from evaluation.transit.learning import LikelyPairs as LikelyPairs
from evaluation.transit.learning import learn_transits as learn_transits
from evaluation.transit.learning import likely_pairs as likely_pairs
from evaluation.transit.model import TransitModel as TransitModel
from evaluation.transit.walks import Walks as Walks
from evaluation.transit.walks import walks_of_people as walks_of_people
