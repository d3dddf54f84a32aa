"""The command `up`; tests of its steps are in tests/console/local, those with real processes in tests/chaos."""

import socket

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError


@pytest.mark.parametrize(
    "arguments", [["--port", "70000"], ["--port", "-1"], ["--host", "256.0.0.1"], ["--workers", "0"]]
)
def test_arguments_that_cannot_be_used_are_one_sentence(arguments):
    with pytest.raises(CommandError):
        call_command("up", *arguments)


def test_a_port_that_is_taken_is_one_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        with pytest.raises(CommandError, match="choose another port with --port"):
            call_command("up", "--port", str(taken.getsockname()[1]))


def test_an_address_that_this_machine_does_not_have_is_no_taken_port():
    with pytest.raises(CommandError, match="Choose an address of this machine with --host"):
        call_command("up", "--host", "192.0.2.1")
