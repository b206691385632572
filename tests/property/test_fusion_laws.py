import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.fusion import attribute_evidence, description_likelihood, match_probability

fractions = st.floats(0, 1)
groups = st.dictionaries(
    st.sampled_from(["bag", "age", "hair"]), st.dictionaries(st.sampled_from("abc"), fractions, min_size=2), max_size=3
)
asked = st.dictionaries(st.sampled_from(["bag", "age", "hair"]), st.sampled_from("abc"), min_size=1, max_size=3)


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(0, 2), st.floats(1e-3, 10))
def test_a_nearer_sighting_is_never_less_likely(one: float, other: float, middle: float, softness: float) -> None:
    nearer, farther = sorted((one, other))
    likely, unlikely = (match_probability(distance, middle, softness) for distance in (nearer, farther))
    assert 1 >= likely >= unlikely >= 0


@given(groups, asked)
def test_the_likelihood_of_a_description_is_a_fraction(
    described: dict[str, dict[str, float]], words: dict[str, str]
) -> None:
    assert 0 < description_likelihood(described, words) <= 1 + 1e-12


@given(groups, asked)
def test_groups_that_were_not_asked_for_say_nothing(
    described: dict[str, dict[str, float]], words: dict[str, str]
) -> None:
    only_asked = {group: labels for group, labels in described.items() if group in words}
    assert attribute_evidence(described, words) == pytest.approx(attribute_evidence(only_asked, words))


@given(st.integers(2, 9))
def test_a_guess_among_equal_labels_is_no_evidence(num_labels: int) -> None:
    described = {"bag": {str(i): 1 / num_labels for i in range(num_labels)}}
    assert attribute_evidence(described, {"bag": "0"}) == pytest.approx(0, abs=1e-12)
