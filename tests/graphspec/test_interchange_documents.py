"""Bad documents: each is refused with every place, what was expected there and what was found."""

import pytest
from bad_documents import BAD_DOCUMENTS
from small_documents import GOOD, put

import graphspec as gs


@pytest.mark.parametrize("case", BAD_DOCUMENTS)
def test_bad_document(case):
    document, expected, hint = BAD_DOCUMENTS[case]
    with pytest.raises((gs.LoadError, gs.LimitError)) as caught:
        gs.load(document)
    problems = caught.value.problems
    if case == "types-endless":  # pydantic decides how far it follows
        assert problems[0].code == "too-deep"
        assert problems[0].path.startswith("/inputs/x/sequence")
        return
    assert [(problem.code, problem.path) for problem in problems] == expected
    assert all(problem.message and problem.expected and problem.found for problem in problems)
    if hint is not None:
        assert hint in (problems[0].hint or ""), problems[0]


def test_the_good_document_is_good():
    assert gs.load(GOOD).graph.name == "g"


def test_a_flood_of_problems_is_cut():
    with pytest.raises(gs.LoadError) as caught:
        gs.load(put("/outputs", [1] * 5000))
    assert len(caught.value.problems) == 101
    assert caught.value.problems[-1].code == "too-many-problems"


def test_a_deluge_of_problems_is_counted():
    with pytest.raises(gs.LoadError) as caught:
        gs.load({**GOOD, **{str(number): number for number in range(20_000)}})
    [problem] = caught.value.problems
    assert (problem.code, problem.found) == ("too-many-problems", "20000 problems")


def test_a_report_stays_short():
    with pytest.raises(gs.LoadError) as caught:
        gs.load({**GOOD, "x" * 100_000: 1})
    assert len(str(caught.value)) < 3000
