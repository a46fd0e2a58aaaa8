"""Copying to and from folders an agent can write: plain files only, no link followed, limits kept."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from mlgym_lite.episode.workspace import (
    ArtifactLimits,
    ArtifactRefused,
    collect_artifacts,
    copy_tree,
    read_small_file,
)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """An agent's workspace with a file and a folder."""
    folder = tmp_path / "workspace"
    (folder / "model" / "deep").mkdir(parents=True)
    (folder / "answer.txt").write_text("answer", encoding="utf-8")
    (folder / "model" / "a.bin").write_bytes(b"\0" * 10)
    (folder / "model" / "deep" / "b.bin").write_bytes(b"\1" * 20)
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where a submission goes; outside it lies something secret."""
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    (tmp_path / "submission").mkdir()
    return tmp_path / "submission"


def collect(workspace: Path, target: Path, *names: str, limits: ArtifactLimits | None = None) -> dict[str, bytes]:
    """Collect artifacts and read back everything that came."""
    collect_artifacts(workspace, names, target, limits or ArtifactLimits())
    return {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}


def refused(workspace: Path, target: Path, *names: str, limits: ArtifactLimits | None = None) -> str:
    """The reason why artifacts are refused; nothing secret may have come out."""
    with pytest.raises(ArtifactRefused) as caught:
        collect_artifacts(workspace, names, target, limits or ArtifactLimits())
    assert not any(path.is_symlink() or b"secret" in path.read_bytes() for path in target.rglob("*") if path.is_file())
    return str(caught.value)


def test_files_and_folders_keep_their_paths(workspace: Path, target: Path) -> None:
    """Files, whole folders and files within folders are found at the same paths in the submission."""
    assert collect(workspace, target, "answer.txt", "model") == {
        "answer.txt": b"answer",
        "model/a.bin": b"\0" * 10,
        "model/deep/b.bin": b"\1" * 20,
    }


def test_a_file_in_a_folder_brings_nothing_else(workspace: Path, target: Path) -> None:
    """Only what is declared is collected."""
    assert set(collect(workspace, target, "model/deep/b.bin")) == {"model/deep/b.bin"}


def test_a_submission_is_readable_and_without_special_modes(workspace: Path, target: Path) -> None:
    """Whatever modes the agent set, the grader's user can read the files and enter the folders, and none is set-user-id."""
    (workspace / "answer.txt").chmod(0o4700)
    (workspace / "model").chmod(0o700)
    collect(workspace, target, "answer.txt", "model")
    assert stat.S_IMODE((target / "answer.txt").stat().st_mode) == 0o644
    assert stat.S_IMODE((target / "model").stat().st_mode) == 0o755
    assert stat.S_IMODE((target / "model" / "deep").stat().st_mode) == 0o755


def test_names_of_any_characters_are_collected(workspace: Path, target: Path) -> None:
    """Spaces, line ends and bytes that are no text may be in names."""
    for name in (b"with space", b"line\nend", b"\xff\xfe", "ü".encode()):
        (workspace / "model" / os.fsdecode(name)).write_bytes(name)
    found = collect(workspace, target, "model")
    assert found[f"model/{os.fsdecode(bytes([255, 254]))}"] == b"\xff\xfe"
    assert len(found) == 6


def test_a_missing_artifact_is_told(workspace: Path, target: Path) -> None:
    """What is not there is named."""
    assert refused(workspace, target, "none.txt") == "none.txt: missing"
    assert refused(workspace, target, "no/such/folder.txt") == "no/such/folder.txt: missing"


def _link(place: Path) -> None:
    place.symlink_to(place.parent.parent / "secret")


def _link_within(place: Path) -> None:
    place.symlink_to("answer.txt")


def _fifo(place: Path) -> None:
    os.mkfifo(place)


def _socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))


@pytest.mark.parametrize(
    ("make", "kind"),
    [(_link, "a symbolic link"), (_link_within, "a symbolic link"), (_fifo, "a FIFO"), (_socket, "a socket")],
)
@pytest.mark.parametrize("place", ["bad", "model/bad"])
def test_what_is_no_plain_file_is_refused_by_its_kind(
    workspace: Path, target: Path, make: Callable[[Path], None], kind: str, place: str
) -> None:
    """Links, FIFOs and sockets are refused, named or within a folder that is, and none holds the engine up."""
    make(workspace / place)
    reason = refused(workspace, target, place.partition("/")[0])
    assert reason == f"{place}: {kind}; only regular files are accepted"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a device")
def test_a_device_is_refused(workspace: Path, target: Path) -> None:
    """A device is no plain file."""
    try:
        os.mknod(workspace / "bad", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("this root may not make devices")
    assert "a device" in refused(workspace, target, "bad")


def test_a_link_in_the_way_is_not_followed(workspace: Path, target: Path) -> None:
    """A folder on the path to an artifact that is a link is refused too."""
    (workspace.parent / "outside").mkdir()
    (workspace.parent / "outside" / "secret.txt").write_text("secret", encoding="utf-8")
    (workspace / "folder").symlink_to("../outside")
    assert "a symbolic link" in refused(workspace, target, "folder/secret.txt")


def test_the_workspace_itself_may_not_be_a_link(workspace: Path, target: Path) -> None:
    """A workspace that was replaced by a link is not entered."""
    workspace.rename(workspace.parent / "moved")
    workspace.symlink_to("moved")
    with pytest.raises(OSError):
        collect_artifacts(workspace, ["answer.txt"], target, ArtifactLimits())


def test_a_file_in_the_place_of_a_folder_is_told(workspace: Path, target: Path) -> None:
    """A path through a file cannot be collected."""
    assert "a file" in refused(workspace, target, "answer.txt/inner")


def test_a_hard_link_is_refused(workspace: Path, target: Path) -> None:
    """A file of several names may be somebody else's."""
    os.link(workspace.parent / "secret", workspace / "hard")
    assert "a hard link" in refused(workspace, target, "hard")


def test_a_submission_has_at_most_so_many_bytes(workspace: Path, target: Path) -> None:
    """Sizes add up over all artifacts; holes count as the bytes they stand for."""
    assert len(collect(workspace, target, "model", limits=ArtifactLimits(total_bytes=30))) == 2
    (workspace / "sparse").touch()
    os.truncate(workspace / "sparse", 1 << 40)
    assert "too large" in refused(workspace, target, "sparse")


def test_one_byte_more_than_allowed_is_refused(workspace: Path, target: Path) -> None:
    """The limit on bytes is exact."""
    assert "too large" in refused(workspace, target, "model", limits=ArtifactLimits(total_bytes=29))


def test_a_submission_has_at_most_so_many_files(workspace: Path, target: Path) -> None:
    """The number of files counts over all artifacts."""
    assert "too many files" in refused(workspace, target, "answer.txt", "model", limits=ArtifactLimits(files=2))


def test_a_submission_has_at_most_so_many_folders(workspace: Path, target: Path) -> None:
    """Folders count too, so that empty ones cannot fill the host."""
    for number in range(5):
        (workspace / "many" / str(number)).mkdir(parents=True)
    assert collect(workspace, target, "many", limits=ArtifactLimits(folders=6)) == {}
    assert "too many folders" in refused(workspace, target, "many", limits=ArtifactLimits(folders=5))


def test_folders_lie_at_most_so_deep_in_one_another(workspace: Path, target: Path) -> None:
    """A deep tree of folders is refused before it can exhaust anything."""
    place = workspace / "deep"
    for _ in range(40):
        place = place / "d"
    place.mkdir(parents=True)
    assert "too deep" in refused(workspace, target, "deep")


def test_an_artifact_declared_twice_is_collected_once(workspace: Path, target: Path) -> None:
    """Artifacts that overlap do not end a grading."""
    assert set(collect(workspace, target, "model", "model/a.bin")) == {"model/a.bin", "model/deep/b.bin"}


def test_a_tree_is_copied_with_links_as_links(workspace: Path, tmp_path: Path) -> None:
    """Copies hold the same files, modes and times; links stay links, wherever they lead."""
    (workspace / "link").symlink_to("/etc/passwd")
    (workspace / "dangling").symlink_to("nowhere")
    (workspace / "answer.txt").chmod(0o755)
    os.utime(workspace / "answer.txt", ns=(10**18, 10**18))
    copy = tmp_path / "copy"
    copy.mkdir()
    copy_tree(workspace, copy)
    assert os.readlink(copy / "link") == "/etc/passwd"
    assert os.readlink(copy / "dangling") == "nowhere"
    state = (copy / "answer.txt").stat()
    assert (stat.S_IMODE(state.st_mode), state.st_mtime_ns) == (0o755, 10**18)
    assert (copy / "model" / "deep" / "b.bin").read_bytes() == b"\1" * 20


def test_a_tree_is_copied_without_what_is_no_file(workspace: Path, tmp_path: Path) -> None:
    """FIFOs and sockets are left out of a copy."""
    _fifo(workspace / "fifo")
    _socket(workspace / "socket")
    (tmp_path / "copy").mkdir()
    copy_tree(workspace, tmp_path / "copy")
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["answer.txt", "model"]


def test_a_folder_the_agent_closed_stays_usable_in_a_copy(workspace: Path, tmp_path: Path) -> None:
    """The owner can always enter and write the folders of a copy."""
    (workspace / "model").chmod(0o500)
    (tmp_path / "copy").mkdir()
    copy_tree(workspace, tmp_path / "copy")
    assert (tmp_path / "copy" / "model").stat().st_mode & 0o700 == 0o700
    (workspace / "model").chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_copy_can_be_given_to_another_user(workspace: Path, tmp_path: Path) -> None:
    """With an owner, everything of the copy is theirs, links too."""
    (workspace / "link").symlink_to("answer.txt")
    (tmp_path / "copy").mkdir()
    copy_tree(workspace, tmp_path / "copy", owner=12345)
    owners = {path.lstat().st_uid for path in [tmp_path / "copy", *(tmp_path / "copy").rglob("*")]}
    assert owners == {12345}
    assert (workspace / "answer.txt").stat().st_uid == 0


def test_the_source_of_a_copy_may_not_be_a_link(workspace: Path, tmp_path: Path) -> None:
    """A folder that was replaced by a link is not copied."""
    (tmp_path / "link").symlink_to(workspace)
    (tmp_path / "copy").mkdir()
    with pytest.raises(OSError):
        copy_tree(tmp_path / "link", tmp_path / "copy")


def test_a_small_file_is_read_only_if_it_is_one(workspace: Path) -> None:
    """A verdict's file is a plain file of limited size, or none, or an error; a FIFO does not hold the engine up."""
    assert read_small_file(workspace, "answer.txt", 6) == b"answer"
    assert read_small_file(workspace, "none", 6) is None
    _fifo(workspace / "fifo")
    _link(workspace / "link")
    for name in ("answer.txt", "fifo", "link"):
        with pytest.raises(ValueError, match=name):
            read_small_file(workspace, name, 5)


def test_a_folder_in_the_place_of_a_verdict_is_an_error_of_its_own(workspace: Path) -> None:
    """A folder is no plain file either."""
    with pytest.raises(ValueError, match="model"):
        read_small_file(workspace, "model", 5)


def test_a_whole_workspace_comes_without_what_is_left_out(workspace: Path, target: Path) -> None:
    """The name "." brings everything but names right in the workspace that are left out, and links are refused as elsewhere."""
    (workspace / "data").symlink_to("/etc")
    (workspace / "model" / "data").write_bytes(b"kept")
    collect_artifacts(workspace, ["."], target, ArtifactLimits(), {"data", "answer.txt"})
    found = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert found == {"model/a.bin", "model/deep/b.bin", "model/data"}
    with pytest.raises(ArtifactRefused, match="data: a symbolic link"):
        collect_artifacts(workspace, ["."], target.with_name("other"), ArtifactLimits(), {"answer.txt", "model"})
