from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from builders import DONE, line, recording

from ollama_harness.errors import HarnessError, RecordingError, UnknownName
from ollama_harness.recordings import on_disk
from ollama_harness.recordings.store import RecordingStore, fixtures


def library_of(root: Path, *ids: str) -> RecordingStore:
    for id_ in ids:
        on_disk.save(replace(recording(line(DONE)), id=id_), root / id_.rpartition("/")[0])
    return RecordingStore(root)


def test_versions_order_by_number_and_not_by_text(tmp_path: Path) -> None:
    names = ["0.12.11", "0.9.6", "1.0.0", "0.5.7", "0.32.15", "0.32.2"]
    store = library_of(tmp_path, *(f"{name}/chat" for name in names))
    assert store.versions == ("0.5.7", "0.9.6", "0.12.11", "0.32.2", "0.32.15", "1.0.0")
    assert store.newest == "1.0.0"


def test_a_release_candidate_stands_between_the_release_before_it_and_its_own(tmp_path: Path) -> None:
    names = ("0.9.6", "0.9.6-rc10", "0.9.6-rc9", "0.9.5", "0.9.7", "0.9.6-12-gabc1234", "main")
    store = library_of(tmp_path, *(f"{name}/chat" for name in names))
    assert store.versions == ("main", "0.9.5", "0.9.6-rc9", "0.9.6-rc10", "0.9.6", "0.9.6-12-gabc1234", "0.9.7")


def test_second_sessions_are_recordings_but_no_versions(tmp_path: Path) -> None:
    store = library_of(tmp_path, "again/9.0.0/chat", "0.5.7/chat")
    assert store.ids == ("0.5.7/chat", "again/9.0.0/chat")
    assert store.versions == ("0.5.7",)
    assert store.newest == "0.5.7"
    assert store.version("again/9.0.0") == "again/9.0.0"


def test_ids_are_sorted_by_version_then_name(tmp_path: Path) -> None:
    ids = ("0.9.6/b", "0.12.11/a", "0.9.6/a")
    assert library_of(tmp_path, *ids).ids == ("0.9.6/a", "0.9.6/b", "0.12.11/a")


def test_an_unknown_recording_offers_the_nearest(store: RecordingStore) -> None:
    with pytest.raises(
        UnknownName, match=r"no recording called '0\.5\.7/chat-steam'; did you mean 0\.5\.7/chat-stream"
    ):
        store.get("0.5.7/chat-steam")


def test_an_unknown_version_offers_the_nearest(store: RecordingStore) -> None:
    with pytest.raises(UnknownName, match=r"no recorded Ollama version called '0\.32\.51'; did you mean 0\.32\.15"):
        store.version("0.32.51")


def test_the_error_for_a_name_that_resembles_nothing_lists_the_known_ones(store: RecordingStore) -> None:
    with pytest.raises(UnknownName, match=r"known: 0\.5\.7, 0\.9\.6, 0\.12\.11, 0\.24\.0, 0\.32\.15"):
        store.version("main")


def test_a_recording_is_loaded_when_first_used_and_once(tmp_path: Path) -> None:
    store = library_of(tmp_path, "1.0.0/good", "1.0.0/bad")
    (tmp_path / "1.0.0" / "bad.ndjson").unlink()
    assert store.get("1.0.0/good") is store.get("1.0.0/good")
    with pytest.raises(RecordingError):
        store.get("1.0.0/bad")


def test_of_version_gives_that_version_alone(store: RecordingStore) -> None:
    ids = [one.id for one in store.of_version("0.5.7")]
    assert len(ids) > 100
    assert ids == sorted(ids)
    assert all(id_.startswith("0.5.7/") for id_ in ids)


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["*"], ["chat-load", "chat-stream", "chat-tools", "generate"]),
        (["chat-*"], ["chat-load", "chat-stream", "chat-tools"]),
        (["chat-*", "!chat-load"], ["chat-stream", "chat-tools"]),
        (["chat-*", "!chat-*", "chat-load"], ["chat-load"]),
        (["!chat-load", "chat-*"], ["chat-load", "chat-stream", "chat-tools"]),
        (["generate", "chat-[lt]*"], ["chat-load", "chat-tools", "generate"]),
        (["pull"], []),
        ([], []),
    ],
)
def test_patterns_add_and_remove_in_order(tmp_path: Path, patterns: list[str], names: list[str]) -> None:
    store = library_of(
        tmp_path, *(f"1.0.0/{name}" for name in ("chat-stream", "chat-load", "chat-tools", "generate")), "2.0.0/chat-x"
    )
    assert store.names("1.0.0", patterns) == names


def test_files_that_are_no_recordings_are_not_listed(tmp_path: Path) -> None:
    library_of(tmp_path, "1.0.0/chat")
    (tmp_path / "README.md").write_text("words")
    (tmp_path / "1.0.0" / "notes.md").write_text("words")
    assert RecordingStore(tmp_path).ids == ("1.0.0/chat",)


def test_a_root_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="is no readable directory"):
        RecordingStore(tmp_path / "nowhere")


def test_the_newest_of_an_empty_library_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(HarnessError):
        _ = RecordingStore(tmp_path).newest


def test_the_fixtures_hold_recordings_and_known_issues() -> None:
    assert (fixtures() / "recordings").is_dir()
    assert (fixtures() / "known_issues.toml").is_file()


def test_no_version_is_recorded_to_miss_a_model_that_it_had_just_pulled(store: RecordingStore) -> None:
    statuses = {version: store.get(f"{version}/delete-pulled").response.status for version in store.versions}
    assert statuses == dict.fromkeys(store.versions, 200)
