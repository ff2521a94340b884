"""`sole_error` and `sole`: errors whose group is an implementation detail."""

from __future__ import annotations

import pytest

from adapters.tasks import sole, sole_error


def test_an_error_alone_in_its_group_is_raised_as_it_was() -> None:
    error = KeyError("alone")
    error.__context__ = ValueError("what was being handled")
    with pytest.raises(KeyError) as caught, sole_error():
        raise BaseExceptionGroup("of a nursery", [error])
    assert caught.value is error
    assert isinstance(error.__context__, ValueError)


def test_several_errors_stay_a_group() -> None:
    with pytest.raises(ExceptionGroup) as caught, sole_error():
        raise ExceptionGroup("of a nursery", [KeyError(), ValueError()])
    assert len(caught.value.exceptions) == 2


def test_an_error_that_was_raised_from_another_one_does_not_count() -> None:
    fault, lost = KeyError("fault"), LookupError("lost")
    lost.__cause__ = fault
    for consequence in (lost, ExceptionGroup("of the host's nursery", [lost])):
        with pytest.raises(KeyError) as caught, sole_error():
            raise ExceptionGroup("of a nursery", [consequence, fault])
        assert caught.value is fault
    with pytest.raises(ExceptionGroup) as several, sole_error():
        raise ExceptionGroup("of a nursery", [lost, fault, ValueError()])
    assert len(several.value.exceptions) == 3


def test_only_the_outermost_group_is_ours() -> None:
    """A group that a host raises stays a group, even with one error."""
    inner = ExceptionGroup("the host's", [KeyError()])
    with pytest.raises(ExceptionGroup) as caught, sole_error():
        raise ExceptionGroup("of a nursery", [inner])
    assert caught.value is inner


def test_the_sole_error_of_groups_in_groups() -> None:
    error = KeyError()
    assert sole(ExceptionGroup("outer", [ExceptionGroup("inner", [error])])) is error
    assert sole(error) is error
    several = ExceptionGroup("outer", [ExceptionGroup("inner", [error]), ValueError()])
    assert sole(several) is several
