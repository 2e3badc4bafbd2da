"""Which addresses are taken, and in which form."""

from __future__ import annotations

import pytest

from actorq.errors import BadAddress
from actorq.transport.addresses import check_to_dial, check_to_listen, is_ipv6


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:5570", "tcp://a-host.example:1", "tcp://[::1]:65535", "ipc:///a"])
def test_an_address_with_host_and_port_or_with_a_path_can_be_dialled(address: str) -> None:
    check_to_dial(address)
    assert check_to_listen(address) == address


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:0", "tcp://127.0.0.1:*", "tcp://*:5570", "tcp://[::]:*"])
def test_wildcards_are_for_those_who_listen(address: str) -> None:
    with pytest.raises(BadAddress, match="name a host and a port"):
        check_to_dial(address)
    assert check_to_listen(address) == address.replace(":0", ":*")


@pytest.mark.parametrize(
    "address",
    [
        "", "5570", "localhost:5570", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://127.0.0.1:80x",
        "tcp://127.0.0.1:99999", "tcp://::1:5570", "tcp://a b:1", "tcp://h:1/path", "http://h:1", "udp://h:1",
        "inproc://a", "ipc://", "ipc://" + "p" * 108,
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_the_address_in_the_message(address: str) -> None:
    for check in (check_to_dial, check_to_listen):
        with pytest.raises(BadAddress) as error:
            check(address)
        assert repr(address) in str(error.value)


def test_only_literals_of_ipv6_are_ipv6() -> None:
    assert is_ipv6("tcp://[::1]:1")
    assert not is_ipv6("tcp://localhost:1") and not is_ipv6("ipc://[x]")


@pytest.mark.parametrize(
    "address", ["tcp://a$b:5", "tcp://-x:5", "ipc://@", "ipc://@actorq-127.0.0.1:5", "tcp://127.0.0.1:\u0665"]
)
def test_what_libzmq_would_refuse_is_a_bad_address(address: str) -> None:
    with pytest.raises(BadAddress):
        check_to_dial(address)
