"""The pytest plugin, in a project that is not this one."""

from __future__ import annotations

import pytest


def test_the_fixture_plays_faults_to_the_users_own_program(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import httpx, ollama, pytest
        from ollama_harness.faults import after_record, close_at

        def test_whole(fake_ollama):
            parts = list(ollama.Client().generate("smollm2:135m", "Why?", stream=True))
            assert parts[-1].done

        def test_cut(fake_ollama):
            fake_ollama.play("generate-stream", close_at(after_record(3)))
            with pytest.raises(httpx.RemoteProtocolError):
                list(ollama.Client().generate("any", "Why?", stream=True))
            assert fake_ollama.journal.entries[0].answered_by == "0.32.15/generate-stream"
        """
    )
    # In a process of its own: it must work as installed, without this project's conftest.
    outcome = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    outcome.assert_outcomes(passed=2)
