"""oci:// references: every part a word, and plain HTTP for this machine alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import RegistryError
from quantkit.registry.oci.location import Location, parse_pinned, split
from quantkit.registry.oci.transport import Transport
from quantkit.registry.opening import find_registry, open_registry

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "registry", "within"),
    [
        ("oci://localhost:5000/tiny:1.0", "oci://localhost:5000", "tiny:1.0"),
        ("oci://r.example.com/a/b/tiny:1", "oci://r.example.com/a/b", "tiny:1"),
        (f"oci://[::1]:5000/a/tiny:1@{DIGEST}", "oci://[::1]:5000/a", f"tiny:1@{DIGEST}"),
    ],
)
def test_a_reference_is_a_registry_and_a_version(text: str, registry: str, within: str) -> None:
    """The last part is name and version, the rest is the registry."""
    location, found = split(text)
    assert (str(location), found) == (registry, within)


@pytest.mark.parametrize(
    "text",
    [
        "oci://",
        "oci:///tiny:1",
        "oci://localhost",
        "oci://localhost:5000",
        "oci://localhost:5000/tiny",
        "oci://user:secret@host/tiny:1",
        "oci://host/../tiny:1",
        "oci://host/A/tiny:1",
        "oci://host/a//tiny:1",
        "oci://host?x/tiny:1",
        "oci://ho st/tiny:1",
        "OCI://host/tiny:1",
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    """In one line that says what is expected."""
    with pytest.raises(RegistryError) as refused:
        split(text)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    "reference", ["tiny", "tiny:1+x", "tiny:" + "1" * 129, "tiny:1@sha256:0", "tiny:1@", "t/i:1"]
)
def test_versions_are_tags_and_digests_are_whole(reference: str) -> None:
    """What no registry takes is refused before it is asked."""
    with pytest.raises(RegistryError):
        parse_pinned(reference)


@given(st.text(max_size=30))
def test_any_text_is_read_back_or_refused(text: str) -> None:
    """Whatever is accepted spells the same again, so nothing was dropped on the way."""
    try:
        location = Location.parse(f"oci://{text}")
    except RegistryError:
        return
    assert str(location) == f"oci://{text}".rstrip("/")


@pytest.mark.parametrize(
    ("host", "insecure", "address"),
    [
        ("localhost:5000", False, "http://localhost:5000/v2/"),
        ("127.0.0.2", False, "http://127.0.0.2/v2/"),
        ("[::1]:5000", False, "http://[::1]:5000/v2/"),
        ("localhost.example.com", False, "https://localhost.example.com/v2/"),
        ("registry:5000", False, "https://registry:5000/v2/"),
        ("registry:5000", True, "http://registry:5000/v2/"),
        ("docker.io", False, "https://registry-1.docker.io/v2/"),
    ],
)
def test_plain_http_stays_on_this_machine(host: str, insecure: bool, address: str) -> None:
    """Anywhere else it is https, unless it is asked for."""
    assert Transport(location=Location.parse(f"oci://{host}"), insecure=insecure).base == address


def test_a_whole_reference_wins_over_the_registry_option() -> None:
    """oci:// in the reference says where; otherwise --registry does."""
    assert str(find_registry("oci://host/a/tiny:1", "registry")[0]) == "oci://host/a"
    assert str(find_registry("tiny:1", "registry")[0]) == "registry"
    assert str(open_registry("oci://host/a/")) == "oci://host/a"
