"""What test_requests.py asks of mod_proxy_fcgi's way, asked of mod_paddock: scripts see no difference."""

import pytest

from test_requests import *  # noqa: F403
from test_requests import page, pytestmark  # noqa: F401

del test_vhost_lines_work  # noqa: F821: mod_proxy_fcgi's lines


@pytest.fixture(scope="module")
def host(module_host):
    return module_host


def test_basic_authentication(host):
    """As under mod_php, and unlike mod_proxy_fcgi, without CGIPassAuth."""
    server = dump(host.alice, headers={"Authorization": "Basic YTpi"})["server"]  # noqa: F405
    assert (server["PHP_AUTH_USER"], server["PHP_AUTH_PW"]) == ("a", "b")
