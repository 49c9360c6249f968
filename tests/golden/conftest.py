"""Refused signals are part of the game here too; their warnings cost more than the signals."""

from tests.property.conftest import _quiet as _quiet
